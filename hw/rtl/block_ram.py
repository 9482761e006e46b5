"""What block RAMs are told beyond their contents."""

from typing import Any

#: Attribute of a memory whose read and write ports never use the same word in one cycle, or whose reader then does not
#: look. Without it yosys builds comparators and multiplexers around every block, to give the old word in that case.
#: Ref: yosys manual, pass memory_libmap / option -no-rw-check
NO_COLLISION: dict[str, Any] = {"no_rw_check": 1}
