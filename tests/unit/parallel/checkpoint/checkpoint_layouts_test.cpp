// What one layout saves, every other restores. The model is hand-made: parameters as the parallel layers lay
// them, without the layers. Numbers are put in and read back element by element, by arithmetic of this file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/initial_weights.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/tensor_reader.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/mesh/mesh.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using testing::TemporaryFolder;

struct Layout {
  const char* name;
  int tensor = 1, data = 1, pipeline = 1, chunks = 1;
  bool zero = false, sequence_parallel = false;

  int num_ranks() const { return tensor * data * pipeline; }
};

const Layout kLayouts[] = {
    {.name = "1"},
    {.name = "dp2", .data = 2},
    {.name = "tp2", .tensor = 2},
    {.name = "tp2+sp", .tensor = 2, .sequence_parallel = true},
    {.name = "pp2", .pipeline = 2},
    {.name = "pp2 interleaved", .pipeline = 2, .chunks = 2},
    {.name = "tp2 x pp2", .tensor = 2, .pipeline = 2},
    {.name = "dp2 zero1", .data = 2, .zero = true},
    {.name = "dp3 zero1", .data = 3, .zero = true},
    {.name = "tp2 x pp2 x dp2 zero1", .tensor = 2, .data = 2, .pipeline = 2, .zero = true},
};

constexpr int64_t kVocabulary = 613, kWidth = 12, kHeadWidth = 4, kLayers = 4;

Placement split(int dim, int copies = 1) {
  return {Placement::Kind::kSplit, dim, copies};
}

/// The parameters of one rank, in forward order.
class RankModel {
 public:
  RankModel(const Layout& layout, int rank, int64_t ffn)
      : layout_(layout),
        tensor_(rank % layout.tensor),
        stage_(rank / (layout.tensor * layout.data)),
        ffn_(ffn) {
    const int num_virtual = layout.pipeline * layout.chunks;
    for (int v = stage_; v < num_virtual; v += layout.pipeline) {
      if (v == 0) add_embedding();
      for (int64_t l = v * kLayers / num_virtual; l < (v + 1) * kLayers / num_virtual; ++l) add_layer(l);
      if (v == num_virtual - 1) add_head();
    }
  }

  std::vector<Parameter*> parameters() const {
    std::vector<Parameter*> pointers;
    for (const auto& parameter : parameters_) pointers.push_back(parameter.get());
    return pointers;
  }

 private:
  /// A piece that the tensor ranks divide along `dim`, evenly but for the last; every rank's storage has room
  /// for the largest part.
  ParameterPiece part(const std::string& name, const Shape& shape, int dim) const {
    ParameterPiece piece{name, shape, Shape(shape.size(), 0), shape, 0};
    const auto d = static_cast<size_t>(dim);
    const int64_t each = (shape[d] + layout_.tensor - 1) / layout_.tensor;
    piece.offset[d] = tensor_ * each;
    piece.extent[d] = std::min(each, shape[d] - piece.offset[d]);
    if (layout_.tensor > 1) piece.placement[static_cast<AxisId>(Axis::kTensor)] = split(dim);
    return piece;
  }

  ParameterPiece whole(const std::string& name, const Shape& shape, bool partial) const {
    ParameterPiece piece{name, shape, Shape(shape.size(), 0), shape, 0};
    if (layout_.tensor > 1)
      piece.placement[static_cast<AxisId>(Axis::kTensor)].kind =
          partial ? Placement::Kind::kReplicatedPartial : Placement::Kind::kReplicatedEqual;
    return piece;
  }

  void add(std::vector<ParameterPiece> pieces, int64_t storage_rows) {
    auto parameter = std::make_unique<Parameter>();
    parameter->name = pieces[0].name;
    parameter->shape = pieces[0].extent;
    parameter->shape[0] = storage_rows;
    parameter->weight_decay = pieces[0].extent.size() > 1;
    parameter->pieces = std::move(pieces);
    parameters_.push_back(std::move(parameter));
  }
  void add(ParameterPiece piece) {
    const int64_t rows = piece.extent[0];
    add(std::vector<ParameterPiece>{std::move(piece)}, rows);
  }

  /// The vocabulary is odd: the last tensor rank has padding. Shared by the first and the last stage.
  void add_embedding_weight() {
    ParameterPiece piece = part("wte.weight", {kVocabulary, kWidth}, 0);
    if (layout_.pipeline > 1)
      piece.placement[static_cast<AxisId>(Axis::kPipeline)].kind = Placement::Kind::kReplicatedPartial;
    add({std::move(piece)}, (kVocabulary + layout_.tensor - 1) / layout_.tensor);
  }

  void add_embedding() {
    add_embedding_weight();
    add(whole("wpe.weight", {8, kWidth}, layout_.sequence_parallel));
  }

  /// One head of keys and values: every tensor rank has a copy.
  void add_layer(int64_t layer) {
    const std::string prefix = "h." + std::to_string(layer) + ".";
    add(whole(prefix + "norm.weight", {kWidth}, layout_.sequence_parallel));
    std::vector<ParameterPiece> packed = {part(prefix + "attn.q.weight", {kWidth, kWidth}, 0)};
    int64_t row = packed[0].extent[0];
    for (const char* name : {"attn.k.weight", "attn.v.weight"}) {
      packed.push_back(whole(prefix + name, {kHeadWidth, kWidth}, false));
      if (layout_.tensor > 1)
        packed.back().placement[static_cast<AxisId>(Axis::kTensor)] = split(0, layout_.tensor);
      packed.back().storage_row = row;
      row += kHeadWidth;
    }
    add(std::move(packed), row);
    add(part(prefix + "attn.proj.weight", {kWidth, kWidth}, 1));
    add(whole(prefix + "attn.proj.bias", {kWidth}, layout_.sequence_parallel));
    add(part(prefix + "mlp.up.weight", {ffn_, kWidth}, 0));
    add(part(prefix + "mlp.up.bias", {ffn_}, 0));
    add(part(prefix + "mlp.down.weight", {kWidth, ffn_}, 1));
  }

  void add_head() {
    add(whole("norm.weight", {kWidth}, layout_.sequence_parallel));
    if (stage_ > 0) add_embedding_weight();
  }

  const Layout& layout_;
  int tensor_, stage_;
  int64_t ffn_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
};

/// A rank of a layout with its store and optimizer.
struct RankRun {
  RankRun(const Layout& layout, int rank, Precision dtype, int64_t ffn = 400)
      : model(layout, rank, ffn), single({.name = "1"}, 0, ffn) {
    PrecisionConfig precision;
    precision.dtype = dtype;
    ParameterLayout flat(model.parameters(), precision);
    std::vector<FlatRange> owned = {{0, flat.num_elements()}};
    if (layout.zero) {
      owned.clear();
      const int data = rank / layout.tensor % layout.data;
      const int64_t bucket = kWidth * ffn;
      for (int64_t begin = 0; begin < flat.num_elements(); begin += bucket) {
        const int64_t length = std::min(bucket, flat.num_elements() - begin);
        const Slice slice = slice_of_rank(length, data, layout.data);
        append_range(owned, {begin + slice.begin, begin + slice.end});
      }
    }
    store = std::make_unique<ParameterStore>(
        context, std::move(flat), std::move(owned), [&](int64_t bytes, MemoryCategory category) {
          return context.zeros({bytes}, DType::kUInt8, category).storage();
        });
    optimizer = make_optimizer(context, OptimizerConfig(), *store);
    state.step = 12;
    state.run_id = "run";
  }

  /// Calls `use(bytes of a number, size, role, the bits that belong there)` for every number that this rank
  /// has to keep.
  template <class Use>
  void for_each_number(const Use& use) {
    const bool masters = store->has_masters();
    for_each_in(store->values(), {{0, store->num_elements()}}, "model", use);
    if (masters) for_each_in(store->masters(), store->owned(), "master", use);
    for (const OptimizerState& one : optimizer->state())
      for_each_in(one.flat, store->owned(), "optimizer/" + one.name, use);
  }

  void fill() {
    for_each_number([](std::byte* number, size_t size, const std::string&, uint64_t expected) {
      std::memcpy(number, &expected, size);
    });
  }

  /// Numbers of a role (or of all) that are not what fill() writes.
  int64_t num_wrong(const std::string& wanted = "") {
    int64_t wrong = 0;
    for_each_number([&](const std::byte* number, size_t size, const std::string& role, uint64_t expected) {
      wrong += (wanted.empty() || role == wanted) && std::memcmp(number, &expected, size) != 0;
    });
    return wrong;
  }

  Context context;
  RankModel model, single;  ///< `single`: the whole model, for its order
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<Optimizer> optimizer;
  TrainingState state;

 private:
  static uint64_t bits_of(uint64_t site, int64_t index) {
    return (site ^ static_cast<uint64_t>(index)) * 0x9E3779B97F4A7C15u >> 16;
  }

  template <class Use>
  void for_each_in(const Tensor& flat, const std::vector<FlatRange>& ranges, const std::string& role,
                   const Use& use) {
    const auto element = static_cast<size_t>(size_of(flat.dtype()));
    for (size_t i = 0; i < store->parameters().size(); ++i) {
      const Parameter& parameter = *store->parameters()[i];
      for (const ParameterPiece& piece : parameter.pieces) {
        const int64_t rows = piece.extent.size() == 1 ? 1 : piece.extent[0];
        const int64_t first_row = piece.extent.size() == 1 ? 0 : piece.offset[0];
        const int64_t global_cols = piece.global_shape.back();
        const uint64_t site = site_of(role + piece.name);
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t col = 0; col < piece.extent.back(); ++col) {
            const int64_t place =
                store->offset(i) + (piece.storage_row + row) * store->layout().row_stride(i) + col;
            int64_t kept = 0;
            for (const FlatRange& range : ranges) {
              if (place >= range.begin && place < range.end)
                use(flat.raw() + static_cast<size_t>(kept + place - range.begin) * element, element, role,
                    bits_of(site, (first_row + row) * global_cols + piece.offset.back() + col));
              kept += range.length();
            }
          }
      }
    }
  }
};

void save(const std::string& directory, const Layout& layout, Precision dtype) {
  run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
    RankRun run(layout, world.rank(), dtype);
    run.fill();
    CheckpointStore store(directory, world, {}, "run", run.single.parameters());
    EXPECT_TRUE(store.save(run.context, run.state, *run.store, run.optimizer->state()));
  });
}

/// Numbers that a restore into `layout` gets wrong, all ranks together.
int64_t restore(const std::string& directory, const Layout& layout, Precision dtype) {
  std::vector<int64_t> wrong(static_cast<size_t>(layout.num_ranks()), -1);
  run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
    RankRun run(layout, world.rank(), dtype);
    CheckpointStore store(directory, world, {}, "run", run.single.parameters());
    EXPECT_TRUE(store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()));
    wrong[static_cast<size_t>(world.rank())] = run.num_wrong();
  });
  return std::accumulate(wrong.begin(), wrong.end(), int64_t{0});
}

/// Goes through the layouts one after another, each restoring what the one before has saved.
void expect_a_chain_to_keep_every_bit(const std::vector<Layout>& chain, Precision dtype) {
  const TemporaryFolder first;
  save(first.path(), chain[0], dtype);
  std::string from = first.path();
  std::vector<std::unique_ptr<TemporaryFolder>> folders;
  for (size_t i = 1; i < chain.size(); ++i) {
    const Layout& layout = chain[i];
    folders.push_back(std::make_unique<TemporaryFolder>());
    const std::string to = folders.back()->path();
    run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
      RankRun run(layout, world.rank(), dtype);
      const std::vector<Parameter*> names = run.single.parameters();
      CheckpointStore(from, world, {}, "run", names)
          .restore_newest(run.context, run.state, *run.store, run.optimizer->state());
      EXPECT_EQ(run.num_wrong(), 0) << chain[i - 1].name << " -> " << layout.name << " rank " << world.rank();
      CheckpointStore(to, world, {}, "run", names)
          .save(run.context, run.state, *run.store, run.optimizer->state());
    });
    from = to;
  }
}

std::vector<std::string> tensor_names(const std::string& step_directory) {
  std::vector<std::string> names;
  for (const auto& tensor : checkpoint::load_manifest(step_directory).tensors)
    names.push_back(tensor.role + " " + tensor.name);
  return names;
}

TEST(CheckpointLayouts, EveryLayoutRestoresWhatEveryOtherSavedBitForBit) {
  for (const Precision dtype : {Precision::kFp32, Precision::kBf16}) {
    std::vector<std::string> names;
    for (const Layout& saving : kLayouts) {
      const TemporaryFolder folder;
      save(folder.path(), saving, dtype);
      const std::string step = folder.path() / "step-00000012";
      EXPECT_THAT(verify_checkpoint(step), ::testing::IsEmpty()) << saving.name;
      if (names.empty()) names = tensor_names(step);
      EXPECT_EQ(tensor_names(step), names) << saving.name;
      for (const Layout& restoring : kLayouts)
        EXPECT_EQ(restore(folder.path(), restoring, dtype), 0) << saving.name << " -> " << restoring.name;
    }
  }
}

TEST(CheckpointLayouts, FromOneRankToEightToThreeAndBackToOneKeepsEveryBit) {
  for (const Precision dtype : {Precision::kFp32, Precision::kBf16})
    expect_a_chain_to_keep_every_bit({kLayouts[0], kLayouts[9], kLayouts[8], kLayouts[0]}, dtype);
}

TEST(CheckpointLayouts, ChainsOfRandomLayoutsKeepEveryBit) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  std::vector<std::string> names(8);
  std::vector<Layout> chain;
  for (std::string& name : names) {
    Layout layout{.name = "", .tensor = draw(1, 4), .data = draw(1, 3), .pipeline = draw(1, 4)};
    if (layout.pipeline == 2) layout.chunks = draw(1, 2);
    layout.zero = draw(0, 1) == 1;
    layout.sequence_parallel = draw(0, 1) == 1;
    if (layout.num_ranks() > 12) layout.data = layout.pipeline = 1;
    name = "tp" + std::to_string(layout.tensor) + " dp" + std::to_string(layout.data) + " pp" +
           std::to_string(layout.pipeline) + (layout.zero ? " zero1" : "");
    layout.name = name.c_str();
    chain.push_back(layout);
  }
  expect_a_chain_to_keep_every_bit(chain, draw(0, 1) == 1 ? Precision::kBf16 : Precision::kFp32);
}

TEST(CheckpointLayouts, TheManifestListsTensorsInForwardOrder) {
  const TemporaryFolder folder;
  save(folder.path(), kLayouts[5], Precision::kFp32);
  const std::vector<std::string> names = tensor_names(folder.path() / "step-00000012");
  const std::vector<std::string> first(names.begin(), names.begin() + 6);
  EXPECT_THAT(first, ::testing::ElementsAre("model wte.weight", "model wpe.weight", "model h.0.norm.weight",
                                            "model h.0.attn.q.weight", "model h.0.attn.k.weight",
                                            "model h.0.attn.v.weight"));
  EXPECT_EQ(names[2 + 9 * kLayers], "model norm.weight");
  EXPECT_EQ(names[2 + 9 * kLayers + 1], "optimizer/exp_avg wte.weight");
}

TEST(CheckpointLayouts, OneRankReadsTheWeightsOfEveryLayout) {
  for (const Layout& saving : kLayouts) {
    const TemporaryFolder folder;
    save(folder.path(), saving, Precision::kFp32);
    RankRun run(kLayouts[0], 0, Precision::kFp32);
    restore_weights(run.context, folder.path() / "step-00000012", *run.store);
    EXPECT_EQ(run.num_wrong("model"), 0) << saving.name;
  }
}

TEST(CheckpointLayouts, ARankReadsWhatItHolds) {
  constexpr int64_t kFfn = 20000;  // boxes larger than the gaps that are read along
  for (const Layout& layout : {kLayouts[2], kLayouts[4], kLayouts[7]}) {
    const TemporaryFolder folder;
    run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
      RankRun run(layout, world.rank(), Precision::kFp32, kFfn);
      CheckpointStore(folder.path(), world, {}, "run")
          .save(run.context, run.state, *run.store, run.optimizer->state());
      const std::string step = folder.path() / "step-00000012";
      world.barrier();
      const auto targets = checkpoint::held_tensors(*run.store, run.optimizer->state());
      int64_t held = 0;
      for (const auto& target : targets) held += target.box.num_bytes();
      const int64_t read = checkpoint::read_tensors(step, checkpoint::load_manifest(step), targets);
      EXPECT_GE(read, held);
      // Gaps of up to 256 KiB are read along; with what another rank alone holds it would be twice as much.
      EXPECT_LE(static_cast<double>(read), 1.2 * static_cast<double>(held))
          << layout.name << " rank " << world.rank();
    });
  }
}

TEST(CheckpointLayouts, ARankThatHoldsOtherBitsOfASharedBoxIsNamed) {
  const TemporaryFolder folder;
  const Layout& layout = kLayouts[6];  // tp2 x pp2: ranks 0, 1 are the first stage
  run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
    RankRun run(layout, world.rank(), Precision::kFp32);
    run.fill();
    if (world.rank() == 3)  // its half of the tied embedding, and a norm
      for (Parameter* parameter : run.store->parameters())
        if (parameter->name == "wte.weight" || parameter->name == "h.2.norm.weight")
          parameter->value.data<float>()[5] = 0.25f;
    CheckpointStore store(folder.path(), world, {}, "run", run.single.parameters());
    try {
      store.save(run.context, run.state, *run.store, run.optimizer->state());
      ADD_FAILURE() << "saved";
    } catch (const CommError& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("model h.2.norm.weight (rank 3 differs from rank 2)"));
      EXPECT_THAT(error.what(),
                  ::testing::HasSubstr("model wte.weight box 307,0+306,12 (rank 3 differs from rank 1)"));
    }
  });
}

TEST(CheckpointLayouts, WhatDoesNotFitIsListedOnceThoughNoRankHoldsAllOfIt) {
  const TemporaryFolder folder;
  save(folder.path(), kLayouts[0], Precision::kFp32);
  const Layout& layout = kLayouts[4];
  run_thread_ranks(layout.num_ranks(), [&](Communicator& world) {
    RankRun run(layout, world.rank(), Precision::kFp32);
    for (Parameter* parameter : run.store->parameters())
      if (parameter->name == "h.0.norm.weight" || parameter->name == "h.3.norm.weight")
        parameter->pieces[0].name += "s";
    CheckpointStore store(folder.path(), world, {}, "run", run.single.parameters());
    try {
      store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
      ADD_FAILURE() << "restored";
    } catch (const CheckpointError& error) {
      const std::string text = error.what();
      for (const char* line : {"model h.0.norm.weights is missing in the checkpoint",
                               "model h.3.norm.weights is missing in the checkpoint",
                               "optimizer/exp_avg h.3.norm.weight of the checkpoint is not in this run"}) {
        EXPECT_THAT(text, ::testing::HasSubstr(line));
        EXPECT_EQ(text.find(line), text.rfind(line)) << text;
      }
      EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("h.1.norm.weight")));
    }
  });
}

}  // namespace
}  // namespace trireme
