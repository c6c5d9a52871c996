#include "parallel/verify/shrink.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace trireme::verify {
namespace {

constexpr int64_t kMostRanks = 16;
constexpr int64_t kLength = 12;  // divides by 2, 3 and 4 row shards
constexpr double kBucketMegabytes = 0.002;

/// Sizes that a layout divides things by.
struct Axes {
  int64_t tensor, pipeline, data, chunks;

  int64_t num_ranks() const { return tensor * pipeline * data; }
  int64_t num_virtual_stages() const { return pipeline * chunks; }
};

Axes axes_of(const VerifyCase& full) {
  const ParallelConfig& parallel = full.rank.parallel;
  const MeshShape shape = MeshShape::make(parallel, full.num_ranks);
  return {shape.size(Axis::kTensor), shape.size(Axis::kPipeline), shape.size(Axis::kData),
          parallel.virtual_pipeline_model_parallel_size};
}

int64_t small_axis(int64_t size, bool uneven) {
  return std::min<int64_t>(size, uneven ? 3 : 2);
}

bool is_uneven(const std::vector<int64_t>& counts) {
  return std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) != counts.end();
}

/// A small multiple of `now` that leaves over something exactly where `count` does, divided by `before`.
int64_t small_multiple(int64_t count, int64_t before, int64_t now, int64_t factor) {
  return now * factor + std::min(count % before, now - 1);
}

class Shrinker {
 public:
  explicit Shrinker(const VerifyCase& full) : full_(full), before_(axes_of(full)) { shrunk_.run = full; }

  Shrunk shrink() {
    shrink_axes();
    shrink_layers();
    shrink_heads();
    shrink_sizes();
    shrink_batch();
    make_measurable(shrunk_.run);
    const Precision precision = full_.rank.precision.dtype;
    if (full_model().activation == FeedForwardActivation::kRelu && precision != Precision::kFp64)
      shrunk_.dropped.push_back(
          fmt::format("relu in {}, where rounding decides on which side of 0 a unit is: gelu stands in its "
                      "place; fp64 shows relu itself",
                      name_of(precision)));
    list_changes();
    return std::move(shrunk_);
  }

 private:
  RankOptions& rank() { return shrunk_.run.rank; }
  const ModelConfig& full_model() const { return full_.rank.model; }
  int64_t full_layers() const { return full_model().num_layers_in_all(); }

  void shrink_axes() {
    const ParallelConfig& parallel = full_.rank.parallel;
    const int64_t groups = full_model().num_query_groups;
    const bool several_copied = groups > 1 && groups < before_.tensor;
    const bool uneven_stages =
        is_uneven(parallel.pipeline_layout) || full_layers() % before_.num_virtual_stages() != 0;
    now_ = {.tensor = several_copied
                          ? 4
                          : small_axis(before_.tensor, full_model().vocab_size % before_.tensor != 0),
            .pipeline = small_axis(before_.pipeline, uneven_stages),
            .data = small_axis(before_.data, false),
            .chunks = small_axis(before_.chunks, false)};
    for (auto [size, name] : {std::pair{&now_.pipeline, "pipeline stage"}, {&now_.tensor, "tensor rank"}}) {
      if (now_.num_ranks() <= kMostRanks || *size != 3) continue;
      *size = 2;
      shrunk_.dropped.push_back(fmt::format(
          "a third {}, which would show what is uneven in the middle: more than {} ranks", name, kMostRanks));
    }
    rank().parallel.tensor_model_parallel_size = now_.tensor;
    rank().parallel.pipeline_model_parallel_size = now_.pipeline;
    rank().parallel.virtual_pipeline_model_parallel_size = now_.chunks;
    rank().parallel.bucket_size_mb = kBucketMegabytes;
    rank().parallel.distributed_timeout_seconds = 60;
    shrunk_.run.num_ranks = static_cast<int>(now_.num_ranks());
  }

  /// The smallest count stays the smallest: 1, with 2 for all that are larger, and 0 for a stage without
  /// layers.
  std::vector<int64_t> small_layout() const {
    const std::vector<int64_t>& full = full_.rank.parallel.pipeline_layout;
    if (full.empty()) return {};
    int64_t least = full_layers();
    for (const int64_t count : full)
      if (count > 0) least = std::min(least, count);
    const auto num_stages = static_cast<size_t>(now_.num_virtual_stages());
    std::vector<int64_t> layout;
    for (size_t stage = 0; stage < num_stages; ++stage) {
      const size_t from = num_stages == 1 ? 0 : stage * (full.size() - 1) / (num_stages - 1);
      layout.push_back(full[from] == 0 ? 0 : full[from] == least ? 1 : 2);
    }
    return layout;
  }

  void shrink_layers() {
    const int64_t layers = full_layers(), stages = before_.num_virtual_stages();
    const int64_t small_stages = now_.num_virtual_stages();
    const bool has_encoder = full_model().encoder_num_layers > 0;
    const int64_t fewest = has_encoder ? 2 : 1;
    int64_t small = 0;
    rank().parallel.pipeline_layout = small_layout();
    if (const std::vector<int64_t>& layout = rank().parallel.pipeline_layout; !layout.empty()) {
      small = std::accumulate(layout.begin(), layout.end(), int64_t{0});
      if (is_uneven(full_.rank.parallel.pipeline_layout) && !is_uneven(layout))
        shrunk_.dropped.push_back("the uneven part of pipeline_layout: the stages that are left are equal");
    } else if (small_stages == 1) {
      small = std::min<int64_t>(layers, 2);
    } else {
      small = std::max(fewest, small_stages + (layers < stages ? -1 : layers % stages != 0));
    }
    rank().model.encoder_num_layers = has_encoder ? small / 2 : 0;
    rank().model.num_layers = small - rank().model.encoder_num_layers;
    int64_t& recomputed = rank().step.recompute.num_layers;
    if (recomputed > 0) recomputed = recomputed >= layers ? small : std::max<int64_t>(1, small / 2);
  }

  void shrink_heads() {
    const int64_t heads = full_model().num_attention_heads, groups = full_model().num_query_groups;
    ModelConfig& model = rank().model;
    if (groups < before_.tensor) {  // copied
      model.num_query_groups = groups > 1 ? 2 : 1;
      model.num_attention_heads = now_.tensor * std::min<int64_t>(heads / before_.tensor, 2);
    } else {
      model.num_query_groups = now_.tensor * std::min<int64_t>(groups / before_.tensor, 2);
      model.num_attention_heads = model.num_query_groups * std::min<int64_t>(heads / groups, 2);
    }
    // Rope turns pairs of a head's channels, sinusoids and an encoder in two directions halve the width: what
    // is even stays so.
    const bool even_width = full_model().hidden_size % 2 == 0;
    const bool even_heads =
        full_model().kv_channels % 2 == 0 || (even_width && model.num_attention_heads % 2 != 0);
    model.kv_channels = even_heads ? 4 : 3;
    const bool as_wide = full_model().hidden_size == heads * full_model().kv_channels;
    model.hidden_size = model.num_attention_heads * model.kv_channels + (as_wide ? 0 : 4);
    if (model.position_embedding_type == PositionEmbedding::kComplex)
      model.hidden_size += model.hidden_size % 2;
  }

  void shrink_sizes() {
    ModelConfig& model = rank().model;
    model.ffn_hidden_size =
        model.recurrent() || !model.feed_forward
            ? 4 * model.hidden_size
            : small_multiple(full_model().ffn_hidden_size, before_.tensor, now_.tensor, 6);
    model.vocab_size =
        small_multiple(full_model().vocab_size, before_.tensor, now_.tensor, now_.tensor == 1 ? 17 : 8);
    rank().seq_length = kLength;
    if (full_model().encoder_num_layers > 0)
      model.source_vocab_size = model.share_source_embedding
                                    ? model.vocab_size
                                    : small_multiple(full_model().source_vocab_size, before_.tensor,
                                                     now_.tensor, now_.tensor == 1 ? 13 : 7);
    if (model.position_embedding_type == PositionEmbedding::kRelative)  // still clipped where it was
      model.relative_max_distance = full_model().relative_max_distance < full_.rank.seq_length ? 3 : kLength;
    model.num_classes = std::min<int64_t>(full_model().num_classes, 5);
    model.max_position_embeddings =
        kLength + (full_model().max_position_embeddings > full_.rank.seq_length ? 4 : 0);
  }

  void shrink_batch() {
    const int64_t micro = full_.rank.micro_batch_size;
    const int64_t count = full_.rank.global_batch_size / (micro * before_.data);
    int64_t small = 0;
    if (count < before_.pipeline) {
      small = std::clamp<int64_t>(count, 1, now_.pipeline - 1);
    } else if (before_.pipeline == 1) {
      small = std::min<int64_t>(count, 3);
    } else {
      small = now_.pipeline * (count > before_.pipeline ? 2 : 1) + (count % before_.pipeline != 0);
    }
    rank().micro_batch_size = std::min<int64_t>(micro, 2);
    rank().global_batch_size = rank().micro_batch_size * small * now_.data;
  }

  template <class T>
  void change(const char* key, const T& from, const T& to) {
    if (from != to) shrunk_.changes.push_back({key, fmt::format("{}", from), fmt::format("{}", to)});
  }

  void list_changes() {
    const RankOptions &from = full_.rank, &to = shrunk_.run.rank;
    change("ranks", full_.num_ranks, shrunk_.run.num_ranks);
    change("tensor_model_parallel_size", before_.tensor, now_.tensor);
    change("pipeline_model_parallel_size", before_.pipeline, now_.pipeline);
    change("virtual_pipeline_model_parallel_size", before_.chunks, now_.chunks);
    change("data ranks", before_.data, now_.data);
    change("pipeline_layout", from.parallel.pipeline_layout, to.parallel.pipeline_layout);
    change("encoder_num_layers", from.model.encoder_num_layers, to.model.encoder_num_layers);
    change("num_layers", from.model.num_layers, to.model.num_layers);
    change("hidden_size", from.model.hidden_size, to.model.hidden_size);
    change("ffn_hidden_size", from.model.ffn_hidden_size, to.model.ffn_hidden_size);
    change("num_attention_heads", from.model.num_attention_heads, to.model.num_attention_heads);
    change("num_query_groups", from.model.num_query_groups, to.model.num_query_groups);
    change("kv_channels", from.model.kv_channels, to.model.kv_channels);
    change("vocab_size", from.model.vocab_size, to.model.vocab_size);
    change("source_vocab_size", from.model.source_vocab_size, to.model.source_vocab_size);
    change("num_classes", from.model.num_classes, to.model.num_classes);
    change("seq_length", from.seq_length, to.seq_length);
    change("micro_batch_size", from.micro_batch_size, to.micro_batch_size);
    change("global_batch_size", from.global_batch_size, to.global_batch_size);
    change("recompute_num_layers", from.step.recompute.num_layers, to.step.recompute.num_layers);
    change("bucket_size_mb", from.parallel.bucket_size_mb, to.parallel.bucket_size_mb);
    change("relative_max_distance", from.model.relative_max_distance, to.model.relative_max_distance);
    change("init_method_std", from.model.init_method_std, to.model.init_method_std);
    change("adam_eps", from.optimizer.adam_eps, to.optimizer.adam_eps);
    change("adagrad_eps", from.optimizer.adagrad_eps, to.optimizer.adagrad_eps);
    change("rmsprop_eps", from.optimizer.rmsprop_eps, to.optimizer.rmsprop_eps);
    change("initial_loss_scale", from.precision.initial_loss_scale, to.precision.initial_loss_scale);
  }

  const VerifyCase& full_;
  Axes before_, now_{};
  Shrunk shrunk_;
};

}  // namespace

Shrunk shrink(const VerifyCase& full) {
  return Shrinker(full).shrink();
}

}  // namespace trireme::verify
