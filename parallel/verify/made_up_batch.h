#pragma once

#include <vector>

#include "core/data/batch.h"
#include "core/tensor/context.h"

namespace trireme::verify {

/// Made-up tokens, a pure function of the sample number: sample n is a small automaton whose rule depends on
/// n, so that there is something to learn. Samples differ in how many of their targets count, so a division
/// by anything but the global count shows. With `packed_documents` each sample is cut into documents that do
/// not see each other.
Batch make_batch(Context& context, const std::vector<int64_t>& samples, int64_t seq_length,
                 int64_t vocab_size, bool packed_documents);

}  // namespace trireme::verify
