#pragma once

#include <vector>

#include "core/data/batch.h"
#include "core/models/model_config.h"
#include "core/tensor/context.h"

namespace trireme::verify {

/// What the model and the layout ask of made-up batches.
struct MadeUpSamples {
  ModelConfig model;
  int64_t seq_length = 1;
  bool packed_documents = false;  ///< each sample is cut into documents that do not see each other
  bool hidden_tokens = false;     ///< some of a sample's last tokens are, of a short one all
  bool whole_windows =
      false;  ///< no micro-batch is shorter than seq_length (row shards divide, padding counts)
};

/// Made-up tokens, a pure function of the sample number: sample n is a small automaton whose rule depends on
/// n, so that there is something to learn. Samples differ in how many of their targets count, so a division
/// by anything but the global count shows. Families that read whole samples get some of several lengths, in
/// micro-batches as long as their longest; the padding holds tokens, too. An encoder-decoder gets a source of
/// another length, BERT segments and labels, some of which count nothing; hidden tokens where asked for.
Batch make_batch(Context& context, const std::vector<int64_t>& samples, const MadeUpSamples& what);

}  // namespace trireme::verify
