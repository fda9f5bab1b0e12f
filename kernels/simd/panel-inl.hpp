// Blocks of 8-bit and bf16 products are several panels wide: where each begins, and its share of the block.

inline const std::int8_t* panel_at(const GemmBlock8& g, std::int64_t n) {
  n += g.first;
  return g.strips + n / kStripColumns * g.strip_bytes + n % kStripColumns * kGroup;
}
inline const std::uint16_t* panel_at(const GemmBlockBf16& g, std::int64_t n) {
  return g.panels + n / kPanelWidth * g.panel_bytes / std::int64_t{sizeof(std::uint16_t)};
}

/// What both kinds of block have in common.
template <typename Block>
inline Block columns_from(Block g, std::int64_t n) {
  if (g.c != nullptr) g.c += n;
  if (g.c_bf16 != nullptr) g.c_bf16 += n;
  if (g.epilogue.bias != nullptr) g.epilogue.bias += n;
  if (g.epilogue.residual != nullptr) g.epilogue.residual += n;
  g.n = g.n - n < kPanelWidth ? g.n - n : kPanelWidth;
  return g;
}

/// The block of the one panel that begins at column n.
inline GemmBlock8 panel_block(const GemmBlock8& whole, std::int64_t n) {
  GemmBlock8 g = columns_from(whole, n);
  g.strips = panel_at(whole, n);
  g.first = 0;
  g.column_scale += n;
  g.column_sum += n;
  return g;
}
inline GemmBlockBf16 panel_block(const GemmBlockBf16& whole, std::int64_t n) {
  GemmBlockBf16 g = columns_from(whole, n);
  g.panels = panel_at(whole, n);
  return g;
}

/// kernel(block of a panel, where the next panel begins or nullptr) for one panel after the other.
template <typename Block, typename Kernel>
inline void for_each_panel(const Block& whole, const Kernel& kernel) {
  for (std::int64_t n = 0; n < whole.n; n += kPanelWidth) {
    const std::int64_t after = n + kPanelWidth;
    kernel(panel_block(whole, n), after < whole.n ? panel_at(whole, after) : nullptr);
  }
}
