#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"
#include "core/ops/embedding.h"

namespace trireme {

/// y[i] = table[ids[i]]: table [V, D], ids int32 of any shape, y [ids, D]; zeros for ids of another range of
/// the vocabulary.
Variable embedding(Context& context, Parameter& table, const Tensor& ids, const ops::TableRange& range = {});

/// y[i] = x[i] + table[ids[i]]: a position embedding added to what is there. x [ids, D].
Variable add_embedding(Context& context, const Variable& x, Parameter& table, const Tensor& ids);

}  // namespace trireme
