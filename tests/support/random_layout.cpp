#include "tests/support/random_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <sstream>

#include "core/base/error.h"
#include "core/models/registry.h"

namespace trireme::testing {
namespace {

using enum Knob;

/// Word of the text form; how many values are drawn; in how many of ten draws it is not 0.
struct KnobInfo {
  Knob knob;
  const char* word;
  int64_t num_values;
  int tenths;
};
constexpr std::array<KnobInfo, kNumKnobs> kKnobs = {{
    {kTensor, "tensor", 4, 7},
    {kPipeline, "pipeline", 4, 7},
    {kData, "data", 4, 6},
    {kChunks, "chunks", 3, 3},
    {kSchedule, "schedule", 3, 6},
    {kLayers, "layers", 3, 6},
    {kLayout, "layout", 1000, 3},
    {kZero, "zero", 2, 5},
    {kSequence, "sequence", 2, 5},
    {kRecompute, "recompute", 3, 6},
    {kRecomputeLayers, "recompute_layers", 2, 3},
    {kFamily, "family", 4, 5},
    {kNormPosition, "norm_position", 2, 3},
    {kLlama, "llama", 2, 5},
    {kUntied, "untied", 2, 4},
    {kWidth, "width", 3, 5},
    {kHeads, "heads", 3, 5},
    {kGroups, "groups", 4, 6},
    {kVocabulary, "vocabulary", 6, 8},
    {kFeedForward, "feed_forward", 3, 5},
    {kDropout, "dropout", 4, 6},
    {kMicroBatches, "micro_batches", 6, 8},
    {kMicroSize, "micro_size", 2, 5},
    {kLength, "length", 5, 8},
    {kPacked, "packed", 2, 4},
    {kOrder, "order", 6, 6},
    {kBuckets, "buckets", 3, 7},
    {kPrecision, "precision", 3, 7},
    {kOptimizer, "optimizer", 6, 5},
    {kClip, "clip", 3, 6},
    {kSeed, "seed", 1'000'000, 10},
    {kPositions, "positions", 6, 6},
    {kAttention, "attention", 4, 4},
    {kParts, "parts", 6, 4},
    {kActivation, "activation", 3, 3},
    {kDisagreement, "disagreement", 4, 4},
}};

enum Families { kGpt, kTransformer, kBert, kRecurrent };
constexpr const char* kFamilyNames[] = {"gpt", "transformer", "bert", "recurrent"};

bool has_encoder(const LayoutDraw& draw) {
  return draw[kFamily] == kTransformer || draw[kFamily] == kRecurrent;
}

constexpr int64_t kComplexPositions = 5;
enum Attentions { kPlainAttention, kUndivided, kAdditiveScore, kSharedProjection };
enum Parts { kAllParts, kNoResiduals, kNoNorms, kNoFeedForward, kBatchNorm, kBatchNormOfPadding };

bool has_batch_norm(const LayoutDraw& draw) {
  return draw[kParts] == kBatchNorm || draw[kParts] == kBatchNormOfPadding;
}

constexpr int64_t kMostRanks = 16;
constexpr int64_t kMostVirtualStages = 6;

int64_t num_ranks(const LayoutDraw& draw) {
  return (draw[kTensor] + 1) * (draw[kPipeline] + 1) * (draw[kData] + 1);
}

int64_t num_virtual_stages(const LayoutDraw& draw) {
  return (draw[kPipeline] + 1) * (draw[kChunks] + 1);
}

/// Choices that mean nothing beside the others become 0.
LayoutDraw normalised(LayoutDraw draw) {
  if (draw[kFamily] == kRecurrent) draw[kTensor] = 0;
  if (draw[kTensor] == 0) draw[kSequence] = 0;
  draw[kSchedule] = draw[kChunks] > 0 ? 3 : draw[kSchedule] % 3;
  if (num_virtual_stages(draw) == 1) draw[kLayout] = 0;
  if (draw[kLayout] > 0) draw[kLayers] = 0;
  if (draw[kRecompute] == 0) draw[kRecomputeLayers] = 0;
  if (has_encoder(draw)) draw[kPacked] = 0;
  if (draw[kFamily] == kRecurrent)
    draw[kPositions] = draw[kAttention] = draw[kParts] = draw[kDisagreement] = 0;
  if (draw[kParts] == kNoNorms) draw[kNormPosition] = 0;
  if (draw[kFamily] == kRecurrent || draw[kLlama] || draw[kParts] == kNoFeedForward) draw[kActivation] = 0;
  if (draw[kLlama]) draw[kPositions] = 0;
  if (has_batch_norm(draw)) draw[kMicroSize] = 1;  // one token has no variance
  if (draw[kPositions] == kComplexPositions) draw[kUntied] = 1;
  const bool products_alone = draw[kLlama] || (draw[kPositions] >= 1 && draw[kPositions] <= 3);
  if (products_alone && draw[kAttention] == kAdditiveScore) draw[kAttention] = 0;
  return draw;
}

std::vector<int64_t> pipeline_layout(const LayoutDraw& draw) {
  if (draw[kLayout] == 0) return {};
  std::mt19937_64 random(static_cast<uint64_t>(draw[kLayout]));
  std::vector<int64_t> layers(static_cast<size_t>(num_virtual_stages(draw)));
  for (int64_t& count : layers) count = 1 + static_cast<int64_t>(random() % 2);
  // The embedding alone, or the head alone, makes a stage.
  if (random() % 3 == 0) layers.front() = 0;
  if (random() % 3 == 0 && std::accumulate(layers.begin(), layers.end() - 1, int64_t{0}) > 0)
    layers.back() = 0;
  const int64_t sum = std::accumulate(layers.begin(), layers.end(), int64_t{0});
  if (has_encoder(draw) && sum < 2) layers.front() += 2 - sum;  // a layer on each side
  return layers;
}

/// Numbers of key heads that a tensor axis can divide or copy, most first.
std::vector<int64_t> possible_groups(int64_t heads, int64_t tensor) {
  std::vector<int64_t> groups;
  for (int64_t count = heads; count >= 1; --count)
    if (heads % count == 0 && (count % tensor == 0 || tensor % count == 0)) groups.push_back(count);
  return groups;
}

void set_options(const LayoutDraw& draw, ModelConfig& model) {
  using enum PositionEmbedding;
  static constexpr std::array kTypes = {kRelative, kRelative, kRelativeXl, kAlibi, kComplex};
  if (draw[kPositions] > 0) model.position_embedding_type = kTypes[static_cast<size_t>(draw[kPositions] - 1)];
  if (model.position_embedding_type == kRelative) {
    model.relative_max_distance = 2;
    model.relative_values = draw[kPositions] == 1;
  }
  model.scale_attention = draw[kAttention] != kUndivided;
  if (draw[kAttention] == kAdditiveScore) model.attention_score = AttentionScore::kAdditive;
  if (draw[kAttention] == kSharedProjection) {
    model.share_query_key = true;
    model.num_query_groups = model.num_attention_heads;
  }
  model.residual_connections = draw[kParts] != kNoResiduals;
  if (draw[kParts] == kNoNorms) {
    model.normalization = Normalization::kNone;
    model.embedding_norm = false;
  }
  if (has_batch_norm(draw)) model.normalization = Normalization::kBatchNorm;
  model.batch_norm_padding = draw[kParts] == kBatchNormOfPadding;
  static constexpr std::array kDisagreements = {Disagreement::kNone, Disagreement::kSubspace,
                                                Disagreement::kOutput, Disagreement::kMap};
  if (model.num_attention_heads == 1) return;
  model.disagreement = kDisagreements[static_cast<size_t>(draw[Knob::kDisagreement])];
  if (draw[Knob::kDisagreement]) model.disagreement_coefficient = 3.0;
}

/// Heads, feed-forward and the rest of what only Transformers have.
void set_attention(const LayoutDraw& draw, ModelConfig& model) {
  const int64_t tensor = draw[kTensor] + 1;
  model.num_attention_heads = tensor * (draw[kHeads] + 1);
  const std::vector<int64_t> groups = possible_groups(model.num_attention_heads, tensor);
  model.num_query_groups = groups[static_cast<size_t>(draw[kGroups]) % groups.size()];
  model.kv_channels = draw[kLlama] ? 4 : 3;
  model.feed_forward = draw[kParts] != kNoFeedForward;
  if (model.feed_forward) model.ffn_hidden_size = tensor * (draw[kLlama] ? 3 : 4) + draw[kFeedForward];
  if (draw[kLlama]) {
    model.position_embedding_type = PositionEmbedding::kRope;
    model.normalization = Normalization::kRmsNorm;
    if (model.feed_forward) model.activation = FeedForwardActivation::kSwiglu;
    model.add_bias_linear = false;
  }
  if (draw[kActivation] > 0)
    model.activation =
        draw[kActivation] == 1 ? FeedForwardActivation::kSigmoid : FeedForwardActivation::kTanh;
  model.attention_dropout = draw[kDropout] & 2 ? 0.1 : 0;
  set_options(draw, model);
}

/// The knobs that only Transformers need draw what only recurrent models have.
void set_recurrent(const LayoutDraw& draw, ModelConfig& model) {
  using enum RecurrentCell;
  static constexpr std::array kCells = {kGru, kLstm, kRnn};
  static constexpr std::array kAttentions = {RecurrentAttention::kNone, RecurrentAttention::kAdditive,
                                             RecurrentAttention::kDot};
  model.recurrent_cell = kCells[static_cast<size_t>(draw[kHeads])];
  model.recurrent_attention = kAttentions[static_cast<size_t>(draw[kFeedForward])];
  if (model.recurrent_attention != RecurrentAttention::kNone && draw[kLlama])
    model.attention_context = AttentionContext::kOutput;
  model.bidirectional_encoder = draw[kGroups] % 2 == 1;
  model.recurrent_norm = draw[kNormPosition] != 0;
}

ModelConfig model_of(const LayoutDraw& draw, int64_t seq_length) {
  const int64_t tensor = draw[kTensor] + 1;
  ModelConfig model = family_named(kFamilyNames[draw[kFamily]]).defaults();
  const int64_t fewest = has_encoder(draw) ? 2 : 1;
  const std::vector<int64_t> layers = pipeline_layout(draw);
  model.num_layers = layers.empty() ? std::max<int64_t>(fewest, num_virtual_stages(draw) - 2) + draw[kLayers]
                                    : std::accumulate(layers.begin(), layers.end(), int64_t{0});
  if (has_encoder(draw)) {
    model.encoder_num_layers = model.num_layers / 2;
    model.num_layers -= model.encoder_num_layers;
  }
  if (draw[kNormPosition] && draw[kFamily] != kRecurrent)
    model.norm_position =
        model.norm_position == NormPosition::kPre ? NormPosition::kPost : NormPosition::kPre;
  model.hidden_size = 8 + 4 * draw[kWidth];
  model.vocab_size = 2 * tensor + 5 + draw[kVocabulary];
  if (has_encoder(draw) && draw[kVocabulary] % 2 == 1) {
    model.share_source_embedding = false;
    model.source_vocab_size = model.vocab_size + 3;
  }
  if (draw[kFamily] == kBert && draw[kFeedForward] == 2) {
    model.next_sentence_head = false;
    model.num_classes = 3;
  }
  if (draw[kFamily] != kGpt && model.num_classes == 0)
    model.label_smoothing = draw[kVocabulary] % 3 == 0 ? 0.1 : 0.0;
  if (draw[kFamily] == kRecurrent)
    set_recurrent(draw, model);
  else
    set_attention(draw, model);
  model.untie_embeddings_and_output_weights = draw[kUntied] != 0 && model.num_classes == 0;
  model.hidden_dropout = draw[kDropout] & 1 ? 0.1 : 0;
  model.resolve(0, seq_length);
  return model;
}

ParallelConfig parallel_of(const LayoutDraw& draw) {
  using enum PipelineSchedule;
  static constexpr std::array kSchedules = {k1f1b, kGpipe, kZeroBubble, kInterleaved};
  static constexpr std::array kOrders = {"tp-cp-ep-dp-pp", "tp-cp-ep-pp-dp", "dp-cp-ep-tp-pp",
                                         "dp-cp-ep-pp-tp", "pp-cp-ep-tp-dp", "pp-cp-ep-dp-tp"};
  static constexpr std::array kBucketMegabytes = {25.0, 2e-3, 3e-4};
  ParallelConfig parallel;
  parallel.tensor_model_parallel_size = draw[kTensor] + 1;
  parallel.pipeline_model_parallel_size = draw[kPipeline] + 1;
  parallel.virtual_pipeline_model_parallel_size = draw[kChunks] + 1;
  parallel.pipeline_schedule = kSchedules[static_cast<size_t>(draw[kSchedule])];
  parallel.pipeline_layout = pipeline_layout(draw);
  parallel.sequence_parallel = draw[kSequence] != 0;
  parallel.zero_stage = draw[kZero];
  parallel.rank_order = kOrders[static_cast<size_t>(draw[kOrder])];
  parallel.bucket_size_mb = kBucketMegabytes[static_cast<size_t>(draw[kBuckets])];
  parallel.distributed_timeout_seconds = 60;
  return parallel;
}

int64_t seq_length_of(const LayoutDraw& draw) {
  int64_t length = 4 + draw[kLength];
  if (draw[kSequence])
    while ((draw[kMicroSize] + 1) * length % (draw[kTensor] + 1) != 0) ++length;
  return length;
}

bool has_copies(const ModelConfig& model, int64_t tensor) {
  return model.num_query_groups < tensor;
}

}  // namespace

LayoutDraw draw_layout(uint64_t seed, int64_t number) {
  std::mt19937_64 random(seed * 1'000'003 + static_cast<uint64_t>(number));
  LayoutDraw draw;
  do {
    for (const KnobInfo& info : kKnobs) {
      const bool plain = random() % 10 >= static_cast<uint64_t>(info.tenths);
      const auto value = static_cast<int64_t>(
          1 + random() % static_cast<uint64_t>(std::max<int64_t>(1, info.num_values - 1)));
      draw[info.knob] = plain ? 0 : value;
    }
  } while (num_ranks(draw) > kMostRanks || num_virtual_stages(draw) > kMostVirtualStages);
  return normalised(draw);
}

verify::VerifyCase make_case(const LayoutDraw& draw) {
  static constexpr std::array kPrecisions = {Precision::kFp32, Precision::kBf16, Precision::kFp16};
  static constexpr std::array kRecomputes = {RecomputeGranularity::kNone, RecomputeGranularity::kSelective,
                                             RecomputeGranularity::kFull};
  using enum OptimizerKind;
  static constexpr std::array kOptimizers = {kAdamW, kSgd, kAdam, kAdagrad, kRmsProp, kAdamW};
  static constexpr std::array kClips = {1.0, 0.0, 0.01};
  verify::VerifyCase result;
  result.num_ranks = static_cast<int>(num_ranks(draw));
  result.packed_documents = draw[kPacked] && draw[kFamily] == kGpt;
  result.hidden_tokens = draw[kPacked] && draw[kFamily] == kBert;
  RankOptions& rank = result.rank;
  rank.seq_length = seq_length_of(draw);
  rank.model = model_of(draw, rank.seq_length);
  rank.parallel = parallel_of(draw);
  rank.precision.dtype = kPrecisions[static_cast<size_t>(draw[kPrecision])];
  rank.optimizer.optimizer = kOptimizers[static_cast<size_t>(draw[kOptimizer])];
  if (draw[kOptimizer] == 4) {  // with all of its states
    rank.optimizer.rmsprop_centered = true;
    rank.optimizer.rmsprop_momentum = 0.9;
  }
  if (draw[kOptimizer] == 5) rank.optimizer.adam_bias_correction = false;
  rank.step.clip_grad = kClips[static_cast<size_t>(draw[kClip])];
  rank.step.seed = static_cast<uint64_t>(draw[kSeed]) + 1;
  rank.step.recompute.granularity = kRecomputes[static_cast<size_t>(draw[kRecompute])];
  rank.step.recompute.num_layers = draw[kRecomputeLayers];
  rank.seed = static_cast<uint64_t>(draw[kSeed]);
  rank.micro_batch_size = draw[kMicroSize] + 1;
  rank.global_batch_size = rank.micro_batch_size * (draw[kMicroBatches] + 1) * (draw[kData] + 1);
  verify::make_measurable(result);
  return result;
}

std::string to_text(const LayoutDraw& draw) {
  std::string text;
  for (const KnobInfo& info : kKnobs)
    if (draw[info.knob] != 0)
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", info.word, draw[info.knob]);
  return text;
}

LayoutDraw parse_layout(const std::string& text) {
  LayoutDraw draw;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    const auto* info = std::find_if(kKnobs.begin(), kKnobs.end(), [&](const KnobInfo& candidate) {
      return word.compare(0, equals, candidate.word) == 0;
    });
    if (equals == std::string::npos || info == kKnobs.end())
      throw ConfigError(
          fmt::format("{}: expected choices such as tensor=1, as a failing draw prints them", word));
    draw[info->knob] = std::stoll(word.substr(equals + 1));
  }
  return normalised(draw);
}

LayoutDraw shrink(LayoutDraw draw, const std::function<bool(const LayoutDraw&)>& fails) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const KnobInfo& info : kKnobs) {
      for (const int64_t value : {int64_t{0}, int64_t{1}, draw[info.knob] / 2, draw[info.knob] - 1}) {
        if (value < 0 || value >= draw[info.knob]) continue;
        LayoutDraw plainer = draw;
        plainer[info.knob] = value;
        plainer = normalised(plainer);
        if (plainer == draw || !fails(plainer)) continue;
        draw = plainer;
        changed = true;
        break;
      }
    }
  }
  return draw;
}

namespace {

struct Feature {
  const char* name;
  bool (*has)(const LayoutDraw& draw, const verify::VerifyCase& made);
};

bool axis_tensor(const LayoutDraw& d) {
  return d[kTensor] > 0;
}
bool axis_pipeline(const LayoutDraw& d) {
  return d[kPipeline] > 0;
}
bool axis_data(const LayoutDraw& d) {
  return d[kData] > 0;
}

constexpr Feature kFeatures[] = {
    {"one rank", [](auto& d, auto&) { return num_ranks(d) == 1; }},
    {"tensor", [](auto& d, auto&) { return axis_tensor(d); }},
    {"pipeline", [](auto& d, auto&) { return axis_pipeline(d); }},
    {"data", [](auto& d, auto&) { return axis_data(d); }},
    {"tensor x pipeline", [](auto& d, auto&) { return axis_tensor(d) && axis_pipeline(d); }},
    {"tensor x data", [](auto& d, auto&) { return axis_tensor(d) && axis_data(d); }},
    {"pipeline x data", [](auto& d, auto&) { return axis_pipeline(d) && axis_data(d); }},
    {"tensor x pipeline x data",
     [](auto& d, auto&) { return axis_tensor(d) && axis_pipeline(d) && axis_data(d); }},
    {"sequence", [](auto& d, auto&) { return d[kSequence] != 0; }},
    {"sequence x pipeline", [](auto& d, auto&) { return d[kSequence] && axis_pipeline(d); }},
    {"sequence x data", [](auto& d, auto&) { return d[kSequence] && axis_data(d); }},
    {"sequence x ZeRO 1", [](auto& d, auto&) { return d[kSequence] && d[kZero] && axis_data(d); }},
    {"ZeRO 1", [](auto& d, auto&) { return d[kZero] && axis_data(d); }},
    {"ZeRO 1 x tensor x pipeline",
     [](auto& d, auto&) { return d[kZero] && axis_data(d) && axis_tensor(d) && axis_pipeline(d); }},
    {"gpipe", [](auto& d, auto&) { return axis_pipeline(d) && d[kSchedule] == 1; }},
    {"1f1b", [](auto& d, auto&) { return axis_pipeline(d) && d[kSchedule] == 0; }},
    {"zb-h1", [](auto& d, auto&) { return axis_pipeline(d) && d[kSchedule] == 2; }},
    {"interleaved", [](auto& d, auto&) { return axis_pipeline(d) && d[kChunks] > 0; }},
    {"zb-h1 x tensor",
     [](auto& d, auto&) { return axis_pipeline(d) && d[kSchedule] == 2 && axis_tensor(d); }},
    {"interleaved x tensor", [](auto& d, auto&) { return axis_pipeline(d) && d[kChunks] && axis_tensor(d); }},
    {"uneven stages",
     [](auto& d, auto& made) {
       const auto& layout = made.rank.parallel.pipeline_layout;
       return d[kLayout]
                  ? std::adjacent_find(layout.begin(), layout.end(), std::not_equal_to<>()) != layout.end()
                  : axis_pipeline(d) && made.rank.model.num_layers_in_all() % num_virtual_stages(d) != 0;
     }},
    {"pipeline_layout", [](auto& d, auto&) { return d[kLayout] != 0; }},
    {"tied across stages", [](auto& d, auto&) { return !d[kUntied] && axis_pipeline(d); }},
    {"tied across stages x tensor",
     [](auto& d, auto&) { return !d[kUntied] && axis_pipeline(d) && axis_tensor(d); }},
    {"untied", [](auto& d, auto&) { return d[kUntied] != 0; }},
    {"GPT-2", [](auto& d, auto&) { return d[kFamily] == kGpt && !d[kLlama]; }},
    {"Llama", [](auto& d, auto&) { return d[kFamily] == kGpt && d[kLlama]; }},
    {"encoder-decoder", [](auto& d, auto&) { return d[kFamily] == kTransformer; }},
    {"encoder-decoder x pipeline",
     [](auto& d, auto&) { return d[kFamily] == kTransformer && axis_pipeline(d); }},
    {"encoder-decoder x tensor", [](auto& d, auto&) { return d[kFamily] == kTransformer && axis_tensor(d); }},
    {"encoder-decoder x sequence", [](auto& d, auto&) { return d[kFamily] == kTransformer && d[kSequence]; }},
    {"source embedding of its own",
     [](auto& d, auto& made) { return has_encoder(d) && !made.rank.model.share_source_embedding; }},
    {"BERT", [](auto& d, auto&) { return d[kFamily] == kBert; }},
    {"BERT x pipeline", [](auto& d, auto&) { return d[kFamily] == kBert && axis_pipeline(d); }},
    {"BERT x tensor", [](auto& d, auto&) { return d[kFamily] == kBert && axis_tensor(d); }},
    {"BERT x sequence", [](auto& d, auto&) { return d[kFamily] == kBert && d[kSequence]; }},
    {"recurrent", [](auto& d, auto&) { return d[kFamily] == kRecurrent; }},
    {"recurrent x pipeline", [](auto& d, auto&) { return d[kFamily] == kRecurrent && axis_pipeline(d); }},
    {"recurrent x data", [](auto& d, auto&) { return d[kFamily] == kRecurrent && axis_data(d); }},
    {"recurrent with attention",
     [](auto&, auto& made) { return made.rank.model.recurrent_attention != RecurrentAttention::kNone; }},
    {"classifier", [](auto&, auto& made) { return made.rank.model.num_classes > 0; }},
    {"label smoothing", [](auto&, auto& made) { return made.rank.model.label_smoothing > 0; }},
    {"norms after the sums",
     [](auto&, auto& made) { return made.rank.model.norm_position == NormPosition::kPost; }},
    {"GPT with norms after the sums", [](auto& d, auto&) { return d[kFamily] == kGpt && d[kNormPosition]; }},
    {"selective recompute", [](auto& d, auto&) { return d[kRecompute] == 1; }},
    {"full recompute", [](auto& d, auto&) { return d[kRecompute] == 2; }},
    {"recompute of some layers", [](auto& d, auto&) { return d[kRecomputeLayers] != 0; }},
    {"grouped key heads",
     [](auto&, auto& made) {
       return made.rank.model.num_query_groups < made.rank.model.num_attention_heads;
     }},
    {"key heads fewer than ranks",
     [](auto& d, auto& made) { return has_copies(made.rank.model, d[kTensor] + 1); }},
    {"several key heads, each with copies",
     [](auto& d, auto& made) {
       return has_copies(made.rank.model, d[kTensor] + 1) && made.rank.model.num_query_groups > 1;
     }},
    {"vocabulary not divisible",
     [](auto& d, auto& made) { return made.rank.model.vocab_size % (d[kTensor] + 1) != 0; }},
    {"feed-forward width not divisible",
     [](auto& d, auto& made) { return made.rank.model.ffn_hidden_size % (d[kTensor] + 1) != 0; }},
    {"relative positions x tensor",
     [](auto& d, auto&) { return d[kPositions] >= 1 && d[kPositions] <= 2 && axis_tensor(d); }},
    {"relative positions x pipeline",
     [](auto& d, auto&) { return d[kPositions] >= 1 && d[kPositions] <= 2 && axis_pipeline(d); }},
    {"relative_xl x tensor", [](auto& d, auto&) { return d[kPositions] == 3 && axis_tensor(d); }},
    {"relative_xl x pipeline", [](auto& d, auto&) { return d[kPositions] == 3 && axis_pipeline(d); }},
    {"alibi x tensor", [](auto& d, auto&) { return d[kPositions] == 4 && axis_tensor(d); }},
    {"complex embedding x tensor",
     [](auto& d, auto&) { return d[kPositions] == kComplexPositions && axis_tensor(d); }},
    {"complex embedding x sequence",
     [](auto& d, auto&) { return d[kPositions] == kComplexPositions && d[kSequence]; }},
    {"undivided scores", [](auto& d, auto&) { return d[kAttention] == kUndivided; }},
    {"additive score x tensor",
     [](auto& d, auto&) { return d[kAttention] == kAdditiveScore && axis_tensor(d); }},
    {"shared query and key x tensor",
     [](auto& d, auto&) { return d[kAttention] == kSharedProjection && axis_tensor(d); }},
    {"sigmoid", [](auto& d, auto&) { return d[kActivation] == 1; }},
    {"tanh x tensor", [](auto& d, auto&) { return d[kActivation] == 2 && axis_tensor(d); }},
    {"disagreement of values x tensor",
     [](auto& d, auto&) { return d[kDisagreement] == 1 && axis_tensor(d); }},
    {"disagreement of outputs x tensor",
     [](auto& d, auto&) { return d[kDisagreement] == 2 && axis_tensor(d); }},
    {"disagreement of maps x tensor", [](auto& d, auto&) { return d[kDisagreement] == 3 && axis_tensor(d); }},
    {"disagreement x pipeline x data",
     [](auto& d, auto&) { return d[kDisagreement] && axis_pipeline(d) && axis_data(d); }},
    {"disagreement x encoder-decoder",
     [](auto& d, auto&) { return d[kDisagreement] && d[kFamily] == kTransformer; }},
    {"disagreement x full recompute", [](auto& d, auto&) { return d[kDisagreement] && d[kRecompute] == 2; }},
    {"no residual sums", [](auto& d, auto&) { return d[kParts] == kNoResiduals; }},
    {"no norms", [](auto& d, auto&) { return d[kParts] == kNoNorms; }},
    {"no feed-forward", [](auto& d, auto&) { return d[kParts] == kNoFeedForward; }},
    {"BatchNorm x data", [](auto& d, auto&) { return has_batch_norm(d) && axis_data(d); }},
    {"BatchNorm x sequence", [](auto& d, auto&) { return has_batch_norm(d) && d[kSequence]; }},
    {"BatchNorm x pipeline", [](auto& d, auto&) { return has_batch_norm(d) && axis_pipeline(d); }},
    {"BatchNorm x full recompute", [](auto& d, auto&) { return has_batch_norm(d) && d[kRecompute] == 2; }},
    {"BatchNorm of padding", [](auto& d, auto&) { return d[kParts] == kBatchNormOfPadding; }},
    {"dropout", [](auto& d, auto&) { return d[kDropout] != 0; }},
    {"attention dropout x tensor", [](auto& d, auto&) { return (d[kDropout] & 2) && axis_tensor(d); }},
    {"accumulation", [](auto& d, auto&) { return d[kMicroBatches] > 0; }},
    {"fewer micro-batches than stages", [](auto& d, auto&) { return d[kMicroBatches] < d[kPipeline]; }},
    {"packed documents", [](auto&, auto& made) { return made.packed_documents; }},
    {"hidden tokens x tensor", [](auto& d, auto& made) { return made.hidden_tokens && axis_tensor(d); }},
    {"hidden tokens x pipeline", [](auto& d, auto& made) { return made.hidden_tokens && axis_pipeline(d); }},
    {"rank order", [](auto& d, auto&) { return d[kOrder] != 0; }},
    {"several buckets", [](auto& d, auto&) { return d[kBuckets] != 0; }},
    {"clipped", [](auto& d, auto&) { return d[kClip] == 2; }},
    {"sgd", [](auto& d, auto&) { return d[kOptimizer] == 1; }},
    {"adam x ZeRO 1", [](auto& d, auto&) { return d[kOptimizer] == 2 && d[kZero] && axis_data(d); }},
    {"adagrad x ZeRO 1", [](auto& d, auto&) { return d[kOptimizer] == 3 && d[kZero] && axis_data(d); }},
    {"rmsprop x ZeRO 1", [](auto& d, auto&) { return d[kOptimizer] == 4 && d[kZero] && axis_data(d); }},
    {"BERT's Adam x ZeRO 1", [](auto& d, auto&) { return d[kOptimizer] == 5 && d[kZero] && axis_data(d); }},
    {"fp32", [](auto& d, auto&) { return d[kPrecision] == 0; }},
    {"bf16", [](auto& d, auto&) { return d[kPrecision] == 1; }},
    {"fp16", [](auto& d, auto&) { return d[kPrecision] == 2; }},
};

}  // namespace

std::vector<std::string> features_of(const LayoutDraw& draw) {
  const verify::VerifyCase made = make_case(draw);
  std::vector<std::string> names;
  for (const Feature& feature : kFeatures)
    if (feature.has(draw, made)) names.push_back(feature.name);
  return names;
}

std::vector<std::string> all_features() {
  std::vector<std::string> names;
  for (const Feature& feature : kFeatures) names.push_back(feature.name);
  return names;
}

}  // namespace trireme::testing
