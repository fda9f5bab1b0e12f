// The KernelTable of the F32 kernels, for an ISA file to export or to start from.

template <int kRows>
constexpr KernelTable make_table(const char* name, std::uint32_t features) {
  KernelTable t = {};
  t.name = name;
  t.features = features;
  t.mr = kRows;
  t.nr = kPanelWidth;
  t.depth_unit = kDepthUnit;
  t.tile_rows = kRows;
  t.top_level = kTopLevel;
  t.quad_limit = kQuadLimit;
  t.gemm_f32_f32_f32p = gemm<kRows>;
  t.gemm_f32_f32_f16p = gemm_half<kRows, PanelF16>;
  t.gemm_f32_f32_bf16p = gemm_half<kRows, PanelBf16>;
  t.quantize = quantize;
  t.quantize_with_rest = quantize_with_rest;
  t.quantize_column = quantize_column;
  t.gemm_f32_u8_s8p = gemm8;
  t.magnitude = magnitude;
  t.fix_row = fix_row;
  t.gemm_f32_s16_s16p = gemm16;
  t.widen_f16 = widen<PanelF16>;
  t.widen_bf16 = widen<PanelBf16>;
  t.layer_norm = layer_norm;
  t.softmax = softmax;
  t.softmax_fixed = softmax_fixed;
  t.max = max_of;
  t.sum_exp = sum_exp;
  t.gelu = gelu_row;
  t.add = add_row;
  t.scale = scale_row;
  t.dot_rows = dot_rows;
  t.sum_rows = sum_rows;
  t.depthwise3x3_row = depthwise3x3_row;
  return t;
}
