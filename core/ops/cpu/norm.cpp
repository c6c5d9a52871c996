#include "core/ops/cpu/norm.h"

#include <cmath>

#include "core/ops/cpu/column_partials.h"
#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/norm.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// Both norms: RMSNorm has neither mean nor bias.
void norm_forward_rows(const Tensor& x, const Tensor& weight, const Tensor* bias, double eps, Tensor& y,
                       float* mean, float* rstd, const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    const int64_t cols = block.cols();
    const T* weights = weight.data<T>();
    const T* shifts = bias != nullptr ? bias->data<T>() : nullptr;
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* from = x.row<T>(i);
      T* to = y.row<T>(i);
      float center = 0.0f;
      if (mean != nullptr) {
        center =
            sum_over(cols, [&](auto load_at) HWY_ATTR { return load_at(from); }) / static_cast<float>(cols);
        mean[i] = center;
      }
      const float squares = sum_over(cols, [&](auto load_at) HWY_ATTR {
        const Floats centered = hn::Sub(load_at(from), constant(center));
        return hn::Mul(centered, centered);
      });
      const float scale = 1.0f / std::sqrt(squares / static_cast<float>(cols) + static_cast<float>(eps));
      rstd[i] = scale;
      for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR {
        const Floats normalized = hn::Mul(hn::Sub(load_at(from), constant(center)), constant(scale));
        const Floats shift = shifts != nullptr ? load_at(shifts) : zero();
        store_at(hn::MulAdd(normalized, load_at(weights), shift), to);
      });
    }
  });
}

/// d_x of the rows; sums = [2, cols]: d_weight and d_bias over these rows alone.
void norm_backward_rows(const Tensor& d_y, const Tensor& x, const Tensor& weight, const float* mean,
                        const float* rstd, Tensor& d_x, bool accumulate_d_x, float* sums,
                        const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    const int64_t cols = block.cols();
    const T* weights = weight.data<T>();
    float* weight_sum = sums;
    float* bias_sum = sums + cols;
    std::memset(sums, 0, static_cast<size_t>(2 * cols) * sizeof(float));
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* gradient = d_y.row<T>(i);
      const T* from = x.row<T>(i);
      T* to = d_x.row<T>(i);
      const Floats scale = constant(rstd[i]);
      const Floats offset = constant(mean != nullptr ? -mean[i] * rstd[i] : 0.0f);
      Floats sum_g = zero(), sum_g_xhat = zero();  // lanes beyond the end have d_y = 0 and add nothing
      for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR {
        const Floats d = load_at(gradient);
        const Floats xhat = hn::MulAdd(load_at(from), scale, offset);
        const Floats g = hn::Mul(d, load_at(weights));
        sum_g = hn::Add(sum_g, g);
        sum_g_xhat = hn::MulAdd(g, xhat, sum_g_xhat);
        store_at(hn::MulAdd(d, xhat, load_at(weight_sum)), weight_sum);
        if (mean != nullptr) store_at(hn::Add(d, load_at(bias_sum)), bias_sum);
      });
      const float per_element = 1.0f / static_cast<float>(cols);
      const Floats mean_g = constant(mean != nullptr ? sum_of_lanes(sum_g) * per_element : 0.0f);
      const Floats mean_g_xhat = constant(sum_of_lanes(sum_g_xhat) * per_element);
      for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR {
        const Floats xhat = hn::MulAdd(load_at(from), scale, offset);
        const Floats g = hn::Mul(load_at(gradient), load_at(weights));
        const Floats centered = hn::NegMulAdd(xhat, mean_g_xhat, hn::Sub(g, mean_g));
        const Floats before = accumulate_d_x ? load_at(to) : zero();
        store_at(hn::MulAdd(centered, scale, before), to);
      });
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {
namespace {

HWY_EXPORT(norm_forward_rows);
HWY_EXPORT(norm_backward_rows);

void norm_forward(Context& context, const Tensor& x, const Tensor& weight, const Tensor* bias, double eps,
                  Tensor& y, float* mean, Tensor& rstd) {
  parallel_rows(context, x.rows(), x.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(norm_forward_rows)(x, weight, bias, eps, y, mean, rstd.data<float>(), block);
  });
}

void norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                   const float* mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight,
                   Tensor* d_bias, bool accumulate_parameters) {
  ColumnPartials partials(context, x.rows(), x.cols(), 2);
  partials.for_each_part([&](int64_t begin, int64_t end, float* sums) {
    HWY_DYNAMIC_DISPATCH(norm_backward_rows)
    (d_y, x, weight, mean, rstd.data<float>(), d_x, accumulate_d_x, sums, Block{begin, end, 0, x.cols()});
  });
  partials.add_up(0, d_weight, accumulate_parameters);
  if (d_bias != nullptr) partials.add_up(1, *d_bias, accumulate_parameters);
}

}  // namespace

void layer_norm_forward(Context& context, const Tensor& x, const Tensor& weight, const Tensor* bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd) {
  norm_forward(context, x, weight, bias, eps, y, mean.data<float>(), rstd);
}

void layer_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x,
                         Tensor& d_weight, Tensor* d_bias, bool accumulate_parameters) {
  norm_backward(context, d_y, x, weight, mean.data<float>(), rstd, d_x, accumulate_d_x, d_weight, d_bias,
                accumulate_parameters);
}

void rms_norm_forward(Context& context, const Tensor& x, const Tensor& weight, double eps, Tensor& y,
                      Tensor& rstd) {
  norm_forward(context, x, weight, nullptr, eps, y, nullptr, rstd);
}

void rms_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight,
                       bool accumulate_parameters) {
  norm_backward(context, d_y, x, weight, nullptr, rstd, d_x, accumulate_d_x, d_weight, nullptr,
                accumulate_parameters);
}

}  // namespace trireme::ops::cpu
#endif
