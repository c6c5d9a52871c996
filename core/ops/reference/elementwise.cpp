#include "core/ops/reference/elementwise.h"

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {

void add(Context&, const Tensor& a, const Tensor& b, Tensor& c) {
  dispatch_floating(a.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < a.rows(); ++i)
      for (int64_t j = 0; j < a.cols(); ++j)
        store(c.row<T>(i)[j], load(a.row<T>(i)[j]) + load(b.row<T>(i)[j]));
  });
}

void scale(Context&, Tensor& x, double factor) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < x.rows(); ++i)
      for (int64_t j = 0; j < x.cols(); ++j) store(x.row<T>(i)[j], load(x.row<T>(i)[j]) * factor);
  });
}

void cast(Context&, const Tensor& x, Tensor& y) {
  dispatch_floating(x.dtype(), [&]<class From>(From) {
    dispatch_floating(y.dtype(), [&]<class To>(To) {
      for (int64_t i = 0; i < x.rows(); ++i)
        for (int64_t j = 0; j < x.cols(); ++j) store(y.row<To>(i)[j], load(x.row<From>(i)[j]));
    });
  });
}

void fill(Context&, Tensor& x, double value) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < x.rows(); ++i)
      for (int64_t j = 0; j < x.cols(); ++j) store(x.row<T>(i)[j], value);
  });
}

}  // namespace trireme::ops::reference
