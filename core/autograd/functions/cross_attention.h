#pragma once

#include "core/autograd/variable.h"
#include "core/ops/attention.h"

namespace trireme {

/// Attention of queries [B*T, H*K] to keys and values of another sequence, packed [B*S, 2*G*K] = [key |
/// value]; gives [B*T, H*K]. Letters as in core/ops/attention.h. Backward gives one packed gradient of the
/// keys and values.
Variable cross_attention(Context& context, const Variable& query, const Variable& key_value,
                         const ops::AttentionShape& shape, const ops::AttentionOptions& options);

}  // namespace trireme
