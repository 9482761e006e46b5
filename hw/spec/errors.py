"""The errors that a user can cause: each names the source, the field, the rule and the value that broke it."""


class S2NNError(Exception):
    """Bad input that was refused.

    Parameters
    ----------
    rule : what must hold, as a sentence ("codebook_entries must be a power of two").
    value : the value that broke the rule.
    field : name of the offending field, if there is one.
    source : file or object in which it was found, if there is one.
    """

    def __init__(self, rule: str, *, value: object = None, field: str | None = None, source: object = None):
        self.rule, self.value, self.field, self.source = rule, value, field, source
        where = ": ".join(str(part) for part in (source, field) if part is not None)
        text = f"{where}: {rule}" if where else rule
        super().__init__(text if value is None else f"{text}, not {value!r}")


class ConfigError(S2NNError):
    """An accelerator configuration that cannot be built."""


class ImageFormatError(S2NNError):
    """A memory image or manifest that is damaged, of another version or of another configuration."""


class LoweringError(S2NNError):
    """A network that the chosen configuration cannot hold or express."""


class DataError(S2NNError):
    """A data set file that is missing or damaged."""


class CheckpointError(S2NNError):
    """A checkpoint that is missing, damaged or of another network."""


class ToolError(S2NNError):
    """An external tool that is missing or failed."""


class SimulationError(S2NNError):
    """A simulation that stopped, disagreed with the golden model or ran past its cycle limit."""


class ProofError(S2NNError):
    """A law of the RTL that is not there, was refuted or is left open."""
