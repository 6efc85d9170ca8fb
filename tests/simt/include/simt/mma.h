// Tensor-core and matrix-load instructions, as collectives of a warp.
#pragma once
namespace simt {
inline void mma_m16n8k8(float (&d)[4], const unsigned (&a)[2], unsigned b) {
  detail::MmaRec r{{a[0], a[1], 0, 0}, {b, 0}, {d[0], d[1], d[2], d[3]}, {}};
  detail::warp_collective(detail::Op::mma_k8, 0xffffffffu, &r);
  for (int i = 0; i < 4; ++i) d[i] = r.d[i];
}
inline void mma_m8n8k16(int (&d)[2], unsigned a, unsigned b) {
  detail::ImmaRec r{a, b, {d[0], d[1]}};
  detail::warp_collective(detail::Op::imma, 0xffffffffu, &r);
  d[0] = r.d[0]; d[1] = r.d[1];
}
namespace detail {
// Each lane reads the 16-byte row it addresses itself, so ASan/TSan/UBSan blame the right thread and line.
template <int N, Op OP>
inline void ldmatrix(unsigned (&out)[N], const void* row) {
  LdmRec r{};
  if ((cur->linear & 31) < 8u * N) r.row = *static_cast<const uint4*>(row);
  warp_collective(OP, 0xffffffffu, &r);
  for (int i = 0; i < N; ++i) out[i] = r.out[i];
}
}  // namespace detail
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) { detail::ldmatrix<4, detail::Op::ldm4>(r, row); }
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) { detail::ldmatrix<4, detail::Op::ldm4t>(r, row); }
inline void ldmatrix_x2(unsigned (&r)[2], const void* row) { detail::ldmatrix<2, detail::Op::ldm2>(r, row); }
inline void count_shared_access(const void*, size_t) {}
}  // namespace simt
