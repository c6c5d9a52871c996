#include "core/autograd/functions/cross_attention.h"

#include "core/autograd/functions/attention.h"

namespace trireme {

Variable cross_attention(Context& context, const Variable& query, const Variable& key_value,
                         const ops::AttentionShape& shape, const ops::AttentionOptions& options) {
  AttentionArguments arguments;
  arguments.shape = shape;
  arguments.options = options;
  return attention(context, {query, key_value}, arguments);
}

}  // namespace trireme
