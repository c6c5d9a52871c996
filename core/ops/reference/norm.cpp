#include "core/ops/reference/norm.h"

#include <cmath>
#include <vector>

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
namespace {

/// Both norms: RMSNorm is LayerNorm with mean and bias left out.
void norm_forward(const Tensor& x, const Tensor& weight, const Tensor* bias, double eps, Tensor& y,
                  Tensor* mean, Tensor& rstd) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const int64_t cols = x.cols();
    const T* w = weight.data<T>();
    for (int64_t i = 0; i < x.rows(); ++i) {
      const T* row = x.row<T>(i);
      double center = 0.0;
      if (mean != nullptr) {
        for (int64_t j = 0; j < cols; ++j) center += load(row[j]);
        center /= static_cast<double>(cols);
        store(mean->data<Wide<T>>()[i], center);
      }
      double variance = 0.0;
      for (int64_t j = 0; j < cols; ++j) variance += (load(row[j]) - center) * (load(row[j]) - center);
      const double scale = 1.0 / std::sqrt(variance / static_cast<double>(cols) + eps);
      store(rstd.data<Wide<T>>()[i], scale);
      for (int64_t j = 0; j < cols; ++j) {
        const double shift = bias != nullptr ? load(bias->data<T>()[j]) : 0.0;
        store(y.row<T>(i)[j], (load(row[j]) - center) * scale * load(w[j]) + shift);
      }
    }
  });
}

void norm_backward(const Tensor& d_y, const Tensor& x, const Tensor& weight, const Tensor* mean,
                   const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight, Tensor* d_bias,
                   bool accumulate_parameters) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const int64_t cols = x.cols();
    const T* w = weight.data<T>();
    std::vector<double> weight_sum(static_cast<size_t>(cols)), bias_sum(static_cast<size_t>(cols));
    for (int64_t i = 0; i < x.rows(); ++i) {
      const T* d_out = d_y.row<T>(i);
      const double center = mean != nullptr ? load(mean->data<Wide<T>>()[i]) : 0.0;
      const double scale = load(rstd.data<Wide<T>>()[i]);
      const auto normalized = [&](int64_t j) { return (load(x.row<T>(i)[j]) - center) * scale; };
      double mean_g = 0.0, mean_g_xhat = 0.0;
      for (int64_t j = 0; j < cols; ++j) {
        const double g = load(d_out[j]) * load(w[j]);
        mean_g += g;
        mean_g_xhat += g * normalized(j);
        weight_sum[static_cast<size_t>(j)] += load(d_out[j]) * normalized(j);
        bias_sum[static_cast<size_t>(j)] += load(d_out[j]);
      }
      mean_g = mean != nullptr ? mean_g / static_cast<double>(cols) : 0.0;
      mean_g_xhat /= static_cast<double>(cols);
      for (int64_t j = 0; j < cols; ++j) {
        T& target = d_x.row<T>(i)[j];
        const double before = accumulate_d_x ? load(target) : 0.0;
        const double g = load(d_out[j]) * load(w[j]);
        store(target, before + scale * (g - mean_g - normalized(j) * mean_g_xhat));
      }
    }
    const auto finish = [&](Tensor& target, const std::vector<double>& total) {
      Wide<T>* result = target.data<Wide<T>>();
      for (int64_t j = 0; j < cols; ++j)
        store(result[j], total[static_cast<size_t>(j)] + (accumulate_parameters ? load(result[j]) : 0.0));
    };
    finish(d_weight, weight_sum);
    if (d_bias != nullptr) finish(*d_bias, bias_sum);
  });
}

}  // namespace

void layer_norm_forward(Context&, const Tensor& x, const Tensor& weight, const Tensor* bias, double eps,
                        Tensor& y, Tensor& mean, Tensor& rstd) {
  norm_forward(x, weight, bias, eps, y, &mean, rstd);
}

void layer_norm_backward(Context&, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x,
                         Tensor& d_weight, Tensor* d_bias, bool accumulate_parameters) {
  norm_backward(d_y, x, weight, &mean, rstd, d_x, accumulate_d_x, d_weight, d_bias, accumulate_parameters);
}

void rms_norm_forward(Context&, const Tensor& x, const Tensor& weight, double eps, Tensor& y, Tensor& rstd) {
  norm_forward(x, weight, nullptr, eps, y, nullptr, rstd);
}

void rms_norm_backward(Context&, const Tensor& d_y, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                       Tensor& d_x, bool accumulate_d_x, Tensor& d_weight, bool accumulate_parameters) {
  norm_backward(d_y, x, weight, nullptr, rstd, d_x, accumulate_d_x, d_weight, nullptr, accumulate_parameters);
}

}  // namespace trireme::ops::reference
