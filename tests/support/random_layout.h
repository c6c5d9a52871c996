#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "parallel/verify/verify_case.h"

namespace trireme::testing {

/// The choices of a drawn layout. Each is a small number, 0 the plainest.
enum class Knob {
  kTensor,           ///< ranks - 1
  kPipeline,         ///< stages - 1
  kData,             ///< ranks - 1
  kChunks,           ///< of a stage - 1; above 0 only `interleaved` applies
  kSchedule,         ///< 1f1b, gpipe, zb-h1; interleaved where there are chunks
  kLayers,           ///< beyond the fewest that the stages need
  kLayout,           ///< 0: balanced; else layers by stage, drawn from this number
  kZero,             ///< zero_stage
  kSequence,         ///< sequence_parallel
  kRecompute,        ///< none, selective, full
  kRecomputeLayers,  ///< 0: all; else the first ones
  kFamily,           ///< gpt, transformer, bert
  kNormPosition,     ///< the family's own, the other
  kLlama,            ///< rope, RMSNorm, SwiGLU, no biases
  kUntied,
  kWidth,         ///< hidden_size 8 + 4 n
  kHeads,         ///< of a tensor rank - 1
  kGroups,        ///< which of the possible numbers of key heads, most first
  kVocabulary,    ///< added to a smallest vocabulary
  kFeedForward,   ///< added to a smallest ffn_hidden_size
  kDropout,       ///< none, hidden, attention, both
  kMicroBatches,  ///< of a step - 1
  kMicroSize,     ///< samples - 1
  kLength,        ///< seq_length 4 + n
  kPacked,        ///< documents of gpt; hidden tokens of bert
  kOrder,         ///< of ranks: permutations of tp, dp, pp
  kBuckets,       ///< one, some, many
  kPrecision,     ///< fp32, bf16, fp16
  kOptimizer,     ///< adamw, sgd, adam, adagrad, rmsprop, BERT's
  kClip,          ///< 1, off, 0.01
  kSeed,
  kPositions,    ///< the family's own, relative, relative keys alone, relative_xl, alibi, complex
  kAttention,    ///< plain, undivided scores, additive score, one projection for queries and keys
  kParts,        ///< all, no residual sums, no norms, no feed-forward, BatchNorm (that counts padding)
  kActivation,   ///< the family's own (Llama's: swiglu), sigmoid, tanh
  kDisagreement  ///< between heads: none, of values, outputs, maps
};
inline constexpr size_t kNumKnobs = static_cast<size_t>(Knob::kDisagreement) + 1;

struct LayoutDraw {
  std::array<int64_t, kNumKnobs> values{};

  int64_t operator[](Knob knob) const { return values[static_cast<size_t>(knob)]; }
  int64_t& operator[](Knob knob) { return values[static_cast<size_t>(knob)]; }
  bool operator==(const LayoutDraw&) const = default;
};

/// The number-th draw of a seed: up to 16 ranks, tiny models, everything allowed together.
LayoutDraw draw_layout(uint64_t seed, int64_t number);
/// What it stands for.
verify::VerifyCase make_case(const LayoutDraw& draw);

/// "tensor=1 data=1 seed=7": what is not 0; and back. Throws ConfigError.
std::string to_text(const LayoutDraw& draw);
LayoutDraw parse_layout(const std::string& text);

/// Makes a failing draw plainer, one choice at a time, as long as `fails`.
LayoutDraw shrink(LayoutDraw draw, const std::function<bool(const LayoutDraw&)>& fails);

/// What the draw has of the things that go wrong together: "tensor", "tensor x pipeline", "zb-h1", ...
std::vector<std::string> features_of(const LayoutDraw& draw);
/// Every name that features_of can give.
std::vector<std::string> all_features();

}  // namespace trireme::testing
