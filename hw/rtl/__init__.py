"""The spike-driven accelerator as Amaranth components; `accelerator.Accelerator` is the top."""
