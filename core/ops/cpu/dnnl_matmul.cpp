#include "core/ops/cpu/dnnl_matmul.h"

#include <fmt/format.h>

#include <dnnl.hpp>
#include <map>
#include <string_view>

#include "core/base/error.h"

namespace trireme {

/// A rank's matmul primitives, by what they were made for.
class KernelCache {
 public:
  struct Matmul {
    dnnl::matmul::primitive_desc descriptor;
    dnnl::matmul primitive;  ///< empty: oneDNN has no fast kernel for it
  };
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<ops::cpu::MatmulSpec, Matmul> matmuls;
};

namespace ops::cpu {
namespace {

/// Runs with shapes that keep changing must not fill the memory with primitives.
constexpr size_t kMaxCachedMatmuls = 4096;

dnnl::memory::data_type dnnl_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return dnnl::memory::data_type::f32;
    case DType::kBFloat16:
      return dnnl::memory::data_type::bf16;
    default:
      return dnnl::memory::data_type::f16;
  }
}

dnnl::memory::desc dnnl_layout(const MatrixLayout& layout) {
  return {{layout.rows, layout.cols}, dnnl_type(layout.dtype), {layout.row_stride, layout.col_stride}};
}

dnnl::matmul::primitive_desc make_descriptor(const dnnl::engine& engine, const MatmulSpec& spec) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (spec.accumulate) {
    dnnl::post_ops operations;
    operations.append_sum(1.0f);
    attributes.set_post_ops(operations);
  }
  const dnnl::memory::desc a = dnnl_layout(spec.a), b = dnnl_layout(spec.b), c = dnnl_layout(spec.c);
  dnnl::memory::desc bias;
  if (spec.has_bias)
    bias = dnnl::memory::desc({1, spec.c.cols}, dnnl_type(spec.bias_dtype), {spec.c.cols, 1});
  constexpr bool kAllowEmpty = true;
#if DNNL_VERSION_MAJOR >= 3
  if (spec.has_bias) return {engine, a, b, bias, c, attributes, kAllowEmpty};
  return {engine, a, b, c, attributes, kAllowEmpty};
#else
  if (spec.has_bias) return {dnnl::matmul::desc(a, b, bias, c), attributes, engine, kAllowEmpty};
  return {dnnl::matmul::desc(a, b, c), attributes, engine, kAllowEmpty};
#endif
}

KernelCache::Matmul make_matmul(const dnnl::engine& engine, const MatmulSpec& spec) {
  KernelCache::Matmul matmul;
  matmul.descriptor = make_descriptor(engine, spec);
  if (!matmul.descriptor) return matmul;
  const bool plain_loops = std::string_view(matmul.descriptor.impl_info_str()).starts_with("ref");
  if (plain_loops && spec.a.dtype != DType::kFloat32) return matmul;
  matmul.primitive = dnnl::matmul(matmul.descriptor);
  return matmul;
}

KernelCache& cache_of(Context& context) {
  if (!context.kernels) context.kernels = std::make_shared<KernelCache>();
  return *context.kernels;
}

}  // namespace

bool dnnl_matmul(Context& context, const MatmulSpec& spec, const void* a, const void* b, const void* bias,
                 void* c) try {
  KernelCache& cache = cache_of(context);
  auto found = cache.matmuls.find(spec);
  if (found == cache.matmuls.end()) {
    if (cache.matmuls.size() >= kMaxCachedMatmuls) cache.matmuls.clear();
    found = cache.matmuls.emplace(spec, make_matmul(cache.engine, spec)).first;
  }
  const auto& [descriptor, primitive] = found->second;
  if (!primitive) return false;

  const auto memory = [&](const dnnl::memory::desc& layout, const void* data) {
    return dnnl::memory(layout, cache.engine, const_cast<void*>(data));
  };
  std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, memory(descriptor.src_desc(), a)},
                                                     {DNNL_ARG_WEIGHTS, memory(descriptor.weights_desc(), b)},
                                                     {DNNL_ARG_DST, memory(descriptor.dst_desc(), c)}};
  if (spec.has_bias) arguments.emplace(DNNL_ARG_BIAS, memory(descriptor.bias_desc(), bias));
  Tensor scratchpad;
  const dnnl::memory::desc scratchpad_layout = descriptor.scratchpad_desc();
  if (const auto bytes = static_cast<int64_t>(scratchpad_layout.get_size()); bytes > 0) {
    scratchpad = context.workspace({bytes}, DType::kUInt8);
    arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_layout, scratchpad.raw()));
  }
  primitive.execute(cache.stream, arguments);
  return true;
} catch (const dnnl::error& error) {
  throw DeviceError(fmt::format("oneDNN failed to multiply [{}, {}] by [{}, {}] in {}: {}", spec.a.rows,
                                spec.a.cols, spec.b.rows, spec.b.cols, name_of(spec.a.dtype), error.what()));
}

}  // namespace ops::cpu
}  // namespace trireme
