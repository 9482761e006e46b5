// An AXI4 memory for simulation: at a clock edge the sampled inputs go to C++ (axi_memory.h), its answer to registers.
//
// The C++ side is not called while the memory is idle and no address is offered. One instance per simulation; it must
// be reset before it is used, and serves what axi_memory.py attached. `failed` rises when the master breaks a rule.
module axi_memory #(
  parameter int ADDRESS_BITS = 32,  // at most 63
  parameter int DATA_BITS = 64,     // 32 .. 1024
  parameter int ID_BITS = 4         // at most 16; a master without identifiers ties them to 0
) (
  input  wire clk,
  input  wire rst,
  output reg  failed,
  input  wire [ID_BITS-1:0] s_axi_arid,
  input  wire [ADDRESS_BITS-1:0] s_axi_araddr,
  input  wire [7:0] s_axi_arlen,
  input  wire [2:0] s_axi_arsize,
  input  wire [1:0] s_axi_arburst,
  input  wire s_axi_arvalid,
  output reg  s_axi_arready,
  output reg  [ID_BITS-1:0] s_axi_rid,
  output reg  [DATA_BITS-1:0] s_axi_rdata,
  output reg  [1:0] s_axi_rresp,
  output reg  s_axi_rlast,
  output reg  s_axi_rvalid,
  input  wire s_axi_rready,
  input  wire [ID_BITS-1:0] s_axi_awid,
  input  wire [ADDRESS_BITS-1:0] s_axi_awaddr,
  input  wire [7:0] s_axi_awlen,
  input  wire [2:0] s_axi_awsize,
  input  wire [1:0] s_axi_awburst,
  input  wire s_axi_awvalid,
  output reg  s_axi_awready,
  input  wire [DATA_BITS-1:0] s_axi_wdata,
  input  wire [DATA_BITS/8-1:0] s_axi_wstrb,
  input  wire s_axi_wlast,
  input  wire s_axi_wvalid,
  output reg  s_axi_wready,
  output reg  [ID_BITS-1:0] s_axi_bid,
  output reg  [1:0] s_axi_bresp,
  output reg  s_axi_bvalid,
  input  wire s_axi_bready
);
  timeunit 1ps;
  timeprecision 1ps;

  // Field for field `answer` of axi_dpi.cpp.
  typedef struct packed {
    bit [15:0] bid, rid;
    bit [1:0] bresp;
    bit bvalid;
    bit [1:0] rresp;
    bit rlast, rvalid, wready, awready, arready, has_new_beat, has_failed, is_busy;
  } answer_t;

  import "DPI-C" function void s2nn_axi_offer_address(
    input bit is_write, input longint address, input int length, input int size, input int burst, input int ident);
  import "DPI-C" function void s2nn_axi_offer_data(
    input int data_bits, input bit [DATA_BITS-1:0] data, input bit [DATA_BITS/8-1:0] strobe, input bit last);
  import "DPI-C" function longint s2nn_axi_reset(input longint time_ps, input int data_bits);
  import "DPI-C" function longint s2nn_axi_clock(input longint time_ps, input bit rready, input bit bready);
  import "DPI-C" function void s2nn_axi_read_data(input int data_bits, output bit [DATA_BITS-1:0] data);

  bit is_busy = 0;
  answer_t answer;
  bit [DATA_BITS-1:0] beat;

  initial begin
    failed = 0;
    {s_axi_arready, s_axi_awready, s_axi_wready, s_axi_rvalid, s_axi_bvalid} = 0;
  end

  always @(posedge clk)
    if (rst || is_busy || s_axi_arvalid || s_axi_awvalid) begin
      if (rst)
        answer = $bits(answer_t)'(s2nn_axi_reset($time, DATA_BITS));
      else begin
        if (s_axi_arvalid)
          s2nn_axi_offer_address(0, 64'(s_axi_araddr), 32'(s_axi_arlen), 32'(s_axi_arsize), 32'(s_axi_arburst),
                                 32'(s_axi_arid));
        if (s_axi_awvalid)
          s2nn_axi_offer_address(1, 64'(s_axi_awaddr), 32'(s_axi_awlen), 32'(s_axi_awsize), 32'(s_axi_awburst),
                                 32'(s_axi_awid));
        if (s_axi_wvalid)
          s2nn_axi_offer_data(DATA_BITS, s_axi_wdata, s_axi_wstrb, s_axi_wlast);
        answer = $bits(answer_t)'(s2nn_axi_clock($time, s_axi_rready, s_axi_bready));
      end
      is_busy <= answer.is_busy;
      failed <= answer.has_failed;
      s_axi_arready <= answer.arready;
      s_axi_awready <= answer.awready;
      s_axi_wready <= answer.wready;
      s_axi_rvalid <= answer.rvalid;
      s_axi_bvalid <= answer.bvalid;
      s_axi_bresp <= answer.bresp;
      s_axi_bid <= ID_BITS'(answer.bid);
      if (answer.has_new_beat) begin
        s2nn_axi_read_data(DATA_BITS, beat);
        s_axi_rdata <= beat;
        s_axi_rresp <= answer.rresp;
        s_axi_rlast <= answer.rlast;
        s_axi_rid <= ID_BITS'(answer.rid);
      end
    end
endmodule
