"""Laws of the RTL as Amaranth components, for a solver to prove; `catalogue.PROOFS` lists them."""
