#include "core/ops/reference/reduce.h"

#include <cmath>

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
namespace {

template <class Result, class Term>
Result accumulate(const Tensor& x, Term term) {
  return dispatch_floating(x.dtype(), [&]<class T>(T) {
    Result total = 0;
    for (int64_t i = 0; i < x.rows(); ++i)
      for (int64_t j = 0; j < x.cols(); ++j) total += term(load(x.row<T>(i)[j]));
    return total;
  });
}

}  // namespace

double sum(Context&, const Tensor& x) {
  return accumulate<double>(x, [](double value) { return value; });
}

double sum_of_squares(Context&, const Tensor& x) {
  return accumulate<double>(x, [](double value) { return value * value; });
}

int64_t count_non_finite(Context&, const Tensor& x) {
  return accumulate<int64_t>(x, [](double value) { return std::isfinite(value) ? 0 : 1; });
}

void column_sum(Context&, const Tensor& x, Tensor& out, bool accumulate) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    Wide<T>* result = out.data<Wide<T>>();
    for (int64_t j = 0; j < x.cols(); ++j) {
      double total = accumulate ? load(result[j]) : 0.0;
      for (int64_t i = 0; i < x.rows(); ++i) total += load(x.row<T>(i)[j]);
      store(result[j], total);
    }
  });
}

}  // namespace trireme::ops::reference
