#include "core/ops/cpu/activation.h"

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/activation.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// GELU's tanh form is x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3), since (1 + tanh u) / 2 =
/// sigmoid(2u).
struct GeluTanh {
  static constexpr float kTwoU1 = 1.5957691216057308f;   // 2 sqrt(2/pi)
  static constexpr float kTwoU3 = 0.07135481282650187f;  // the same times 0.044715

  static HWY_INLINE Floats value(Floats x) {
    const Floats slope = hn::MulAdd(hn::Mul(x, x), constant(kTwoU3), constant(kTwoU1));
    return hn::Mul(x, sigmoid(hn::Mul(x, slope)));
  }
  /// s + x s (1 - s) 2u', with 1 - s = e s and e = exp(-2u) kept finite. Flat beyond 20.
  static HWY_INLINE Floats slope(Floats x) {
    x = hn::Max(constant(-20.0f), hn::Min(constant(20.0f), x));  // in this order NaN passes
    const Floats square = hn::Mul(x, x);
    const Floats two_u = hn::Mul(x, hn::MulAdd(square, constant(kTwoU3), constant(kTwoU1)));
    const Floats two_u_slope = hn::MulAdd(square, constant(3.0f * kTwoU3), constant(kTwoU1));
    const Floats e = exp(hn::Min(constant(87.0f), hn::Neg(two_u)));
    const Floats s = hn::Div(constant(1.0f), hn::Add(constant(1.0f), e));
    return hn::MulAdd(hn::Mul(x, two_u_slope), hn::Mul(hn::Mul(e, s), s), s);
  }
};

struct GeluErf {
  static HWY_INLINE Floats value(Floats x) {
    Floats density_root;
    return hn::Mul(x, normal_distribution(x, density_root));
  }
  static HWY_INLINE Floats slope(Floats x) {
    Floats density_root;
    const Floats distribution = normal_distribution(x, density_root);
    return hn::MulAdd(hn::Mul(x, density_root), constant(0.3989422804014327f), distribution);
  }
};

struct Relu {
  /// Not Max(x, 0): that would turn NaN into zero.
  static HWY_INLINE Floats value(Floats x) { return hn::IfThenElse(hn::Le(x, zero()), zero(), x); }
  static HWY_INLINE Floats slope(Floats x) {
    return hn::IfThenElse(hn::Gt(x, zero()), constant(1.0f), zero());
  }
};

struct Sigmoid {
  static HWY_INLINE Floats value(Floats x) { return sigmoid(x); }
  /// e / (1 + e)^2 with e = exp(-|x|): nothing cancels where the function is flat.
  static HWY_INLINE Floats slope(Floats x) {
    const Floats e = exp(hn::Neg(hn::Abs(x)));
    const Floats s = hn::Div(constant(1.0f), hn::Add(constant(1.0f), e));
    return hn::Mul(hn::Mul(e, s), s);
  }
};

struct Tanh {
  static HWY_INLINE Floats value(Floats x) { return tanh(x); }
  /// 1 - tanh^2 x = 4 sigmoid'(2x).
  static HWY_INLINE Floats slope(Floats x) { return hn::Mul(constant(4.0f), Sigmoid::slope(hn::Add(x, x))); }
};

template <class Body>
HWY_INLINE void dispatch_activation(Activation activation, Body&& body) {
  switch (activation) {
    case Activation::kGeluTanh:
      return body(GeluTanh{});
    case Activation::kGeluErf:
      return body(GeluErf{});
    case Activation::kRelu:
      return body(Relu{});
    case Activation::kSigmoid:
      return body(Sigmoid{});
    case Activation::kTanh:
      return body(Tanh{});
  }
}

void activation_forward_block(Activation activation, const Tensor& x, Tensor& y, const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    dispatch_activation(activation, [&]<class F>(F) HWY_ATTR {
      for (int64_t i = block.row_begin; i < block.row_end; ++i) {
        const T* from = x.row<T>(i) + block.col_begin;
        T* to = y.row<T>(i) + block.col_begin;
        for_each_vector(block.cols(),
                        [&](auto load_at, auto store_at) HWY_ATTR { store_at(F::value(load_at(from)), to); });
      }
    });
  });
}

void activation_backward_block(Activation activation, const Tensor& d_y, const Tensor& x, Tensor& d_x,
                               const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    dispatch_activation(activation, [&]<class F>(F) HWY_ATTR {
      for (int64_t i = block.row_begin; i < block.row_end; ++i) {
        const T* from = x.row<T>(i) + block.col_begin;
        const T* gradient = d_y.row<T>(i) + block.col_begin;
        T* to = d_x.row<T>(i) + block.col_begin;
        for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
          store_at(hn::Mul(load_at(gradient), F::slope(load_at(from))), to);
        });
      }
    });
  });
}

void swiglu_forward_block(const Tensor& gate_up, Tensor& y, const Block& block) {
  dispatch_storage(y.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* gates = gate_up.row<T>(i);
      const T* ups = gates + block.cols();
      T* to = y.row<T>(i);
      for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
        const Floats gate = load_at(gates);
        store_at(hn::Mul(hn::Mul(gate, sigmoid(gate)), load_at(ups)), to);
      });
    }
  });
}

/// d_up = d_y g s; d_gate = d_y u s (1 + g (1 - s)), s = sigmoid(g).
void swiglu_backward_block(const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up, const Block& block) {
  dispatch_storage(d_y.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* gates = gate_up.row<T>(i);
      const T* ups = gates + block.cols();
      const T* gradients = d_y.row<T>(i);
      T* d_gates = d_gate_up.row<T>(i);
      T* d_ups = d_gates + block.cols();
      for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
        const Floats gate = load_at(gates), up = load_at(ups), gradient = load_at(gradients);
        const Floats s = sigmoid(gate);
        const Floats scaled = hn::Mul(gradient, s);
        const Floats rest = hn::MulAdd(gate, hn::Sub(constant(1.0f), s), constant(1.0f));
        store_at(hn::Mul(hn::Mul(scaled, up), rest), d_gates);
        store_at(hn::Mul(scaled, gate), d_ups);
      });
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(activation_forward_block);
HWY_EXPORT(activation_backward_block);
HWY_EXPORT(swiglu_forward_block);
HWY_EXPORT(swiglu_backward_block);

void activation_forward(Context& context, Activation activation, const Tensor& x, Tensor& y) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(activation_forward_block)
        (activation, x, y, block);
      },
      x, y);
}

void activation_backward(Context& context, Activation activation, const Tensor& d_y, const Tensor& x,
                         Tensor& d_x) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(activation_backward_block)(activation, d_y, x, d_x, block);
      },
      d_y, x, d_x);
}

void swiglu_forward(Context& context, const Tensor& gate_up, Tensor& y) {
  parallel_rows(context, y.rows(), y.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(swiglu_forward_block)(gate_up, y, block);
  });
}

void swiglu_backward(Context& context, const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up) {
  parallel_rows(context, d_y.rows(), d_y.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(swiglu_backward_block)(d_y, gate_up, d_gate_up, block);
  });
}

}  // namespace trireme::ops::cpu
#endif
