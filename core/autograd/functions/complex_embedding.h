#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"
#include "core/ops/embedding.h"

namespace trireme {

/// The trained tables of a complex-valued word embedding, each [V, D/2].
struct ComplexTables {
  Parameter& amplitude;
  Parameter& frequency;
  Parameter& phase;
};

/// y [ids, D]: formula and shapes in core/ops/complex_embedding.h. ids and positions int32; zeros for ids of
/// another range of the vocabulary.
Variable complex_embedding(Context& context, const ComplexTables& tables, const Tensor& ids,
                           const Tensor& positions, const ops::TableRange& range = {});

}  // namespace trireme
