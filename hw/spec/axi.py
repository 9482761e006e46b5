"""What AXI4 allows of an INCR burst, for master, memory and expected counters alike. Ref: IHI 0022 A3.4.1"""

#: Most beats of one burst.
MAX_BURST_BEATS = 256
#: A burst never crosses a multiple of this many bytes.
BOUNDARY_BYTES = 4096
