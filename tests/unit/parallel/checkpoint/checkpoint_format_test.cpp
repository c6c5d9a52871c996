// Format 1 as others see it: h5py, the `trireme checkpoint` command's library, and a fixture kept for ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using comm::LocalCommunicator;
using comm::run_thread_ranks;
using testing::CheckpointRun;
using ::testing::ElementsAre;
using testing::TemporaryFolder;

void save(const fs::path& directory, int num_ranks, Precision precision, int64_t ffn) {
  run_thread_ranks(num_ranks, [&](Communicator& world) {
    CheckpointRun run(precision, 1, 7, ffn);
    CheckpointStore store(directory, world, {}, "test-run");
    store.save(run.context, run.state, *run.store, run.optimizer->state());
  });
}

void write_floats(const fs::path& path, const Tensor& tensor) {
  std::ofstream stream(path, std::ios::binary);
  dispatch_floating(tensor.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      const auto value = static_cast<float>(tensor.data<T>()[i]);
      stream.write(reinterpret_cast<const char*>(&value), 4);
    }
  });
}

constexpr const char* kReadWithH5py = R"(
import h5py, numpy, os, sys
precision, dtype, read_dtype = sys.argv[1:]
index = h5py.File('step-00000012/index.h5', 'r')
names = []
index.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
for name in names:
    whole = index[name][...].astype('float32')
    expected = numpy.fromfile('expected/' + name.replace('/', '_'), 'float32').reshape(whole.shape)
    assert (whole == expected).all(), name
assert index.attrs['step'][0] == 12 and index.attrs['precision'] == precision, dict(index.attrs)
assert '"seed":1234' in index.attrs['dataset']
assert len(names) == 7 * 4, names
shard = h5py.File('step-00000012/shard-00001-of-00003.h5', 'r')
boxes = []
shard.visititems(lambda name, item: boxes.append(item) if isinstance(item, h5py.Dataset) else None)
for box in boxes:
    role, name = os.path.dirname(box.name)[1:].rsplit('/', 1)
    begin, extent = box.attrs['offset'], box.attrs['extent']
    part = index[role][name][tuple(slice(b, b + e) for b, e in zip(begin, extent))]
    assert (part == box[...]).all() and box.id.get_offset() % 4096 == 0
    assert tuple(box.attrs['global_shape']) == index[role][name].shape
    assert box.attrs['dtype'] == (dtype if role == 'model' else 'float32')
    assert box.attrs['parameter_group'] == ('decay' if name.endswith('weight') and 'norm' not in name else 'no_decay')
assert index['model/wte.weight'].dtype == read_dtype
moved = 'moved'
os.rename('step-00000012', moved)
again = h5py.File(moved + '/index.h5', 'r')['model/wte.weight'][...]
assert (again == numpy.fromfile('expected/model_wte.weight', 'float32').reshape(again.shape)).all()
print('read', len(names), 'tensors and', len(boxes), 'boxes')
)";

/// A type and what h5py is to make of it: its own where NumPy has one.
struct Format {
  Precision precision;
  std::vector<std::string> names;  ///< of the precision, in the file, in h5py
};

class H5py : public ::testing::TestWithParam<Format> {};

TEST_P(H5py, OpensWholeTensorsWithTheRightValues) {
  if (testing::run_program({"/usr/bin/python3", "-c", "import h5py, numpy"}).exit_code != 0)
    GTEST_SKIP() << "python3-h5py is not installed";
  const TemporaryFolder folder;
  const auto& [precision, names] = GetParam();
  save(folder.path(), 3, precision, 600);
  const CheckpointRun run(precision, 1, 7, 600);
  fs::create_directory(folder.path() / "expected");
  const auto expect = [&](const std::string& role, const Tensor& flat) {
    for (size_t i = 0; i < run.store->parameters().size(); ++i)
      for (size_t piece = 0; piece < run.store->parameters()[i]->pieces.size(); ++piece)
        write_floats(
            folder.path() / "expected" / (role + "_" + run.store->parameters()[i]->pieces[piece].name),
            run.store->parameters()[i]->piece(run.store->view(flat, i), piece));
  };
  expect("model", run.store->values());
  expect("master", run.store->masters());
  for (const OptimizerState& one : run.optimizer->state()) expect("optimizer_" + one.name, one.flat);
  const auto result = testing::run_program(
      {"/usr/bin/python3", "-c", kReadWithH5py, names[0], names[1], names[2]}, folder.path());
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out, ::testing::HasSubstr("read 28 tensors and"));
}

INSTANTIATE_TEST_SUITE_P(Formats, H5py,
                         ::testing::Values(Format{Precision::kBf16, {"bf16", "bfloat16", "float32"}},
                                           Format{Precision::kFp16, {"fp16", "float16", "float16"}}),
                         [](const auto& info) { return info.param.names[1]; });

TEST(CheckpointFormat, AMissingShardReadsAsNanInH5py) {
  if (testing::run_program({"/usr/bin/python3", "-c", "import h5py, numpy"}).exit_code != 0)
    GTEST_SKIP() << "python3-h5py is not installed";
  const TemporaryFolder folder;
  save(folder.path(), 1, Precision::kBf16, 20);
  fs::remove(folder.path() / "step-00000012/shard-00000-of-00001.h5");
  const auto result =
      testing::run_program({"/usr/bin/python3", "-c",
                            "import h5py, numpy\nf = h5py.File('step-00000012/index.h5', 'r')\n"
                            "print(numpy.isnan(f['model/wte.weight'][...]).all(), "
                            "numpy.isnan(f['master/wte.weight'][...]).all())"},
                           folder.path());
  EXPECT_EQ(result.out, "True True\n") << result.error;
}

TEST(CheckpointFormat, TheSameStateGivesTheSameBytes) {
  const TemporaryFolder first, second;
  save(first.path(), 2, Precision::kFp32, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // no file may hold the time of day
  save(second.path(), 2, Precision::kFp32, 200);
  for (const char* file : {"shard-00000-of-00002.h5", "shard-00001-of-00002.h5", "index.h5", "manifest.json"})
    EXPECT_EQ(testing::read_file(first.path() / "step-00000012" / file),
              testing::read_file(second.path() / "step-00000012" / file))
        << file;
}

TEST(CheckpointFormat, ListsStepsWithSizesAndDamage) {
  const TemporaryFolder folder;
  save(folder.path(), 1, Precision::kFp32, 20);
  fs::create_directory(folder.path() / "step-00000013");
  const std::vector<StepSummary> steps = list_checkpoints(folder.path());
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].tokens, 4096);
  EXPECT_GT(steps[0].num_bytes, 20 * 96 * 4 * 3);
  EXPECT_EQ(steps[0].damage, "");
  EXPECT_THAT(steps[1].damage, ::testing::HasSubstr("manifest.json': No such file"));
}

// --- a checkpoint of format 1, written by version 0.1.0 with three ranks, that every later version restores.
// To make it again (only ever for a new format): TRIREME_WRITE_FIXTURE=<folder> test_parallel
// --gtest_filter=CheckpointFixture.*

constexpr int64_t kFixtureFfn = 50;
const fs::path kFixture = fs::path(testing::test_folder()) / "unit/parallel/checkpoint/fixture-format-1";

TEST(CheckpointFixture, IsWrittenWhenAsked) {
  const char* folder = std::getenv("TRIREME_WRITE_FIXTURE");
  if (folder == nullptr) GTEST_SKIP() << "TRIREME_WRITE_FIXTURE is not set";
  run_thread_ranks(3, [&](Communicator& world) {
    CheckpointRun run(Precision::kFp32, 1, 7, kFixtureFfn);
    CheckpointStore store(folder, world, {}, "test-run");
    store.save(run.context, run.state, *run.store, {run.optimizer->state()[0]});
  });
}

TEST(CheckpointFixture, OfFormat1IsRestoredBitForBit) {
  EXPECT_THAT(verify_checkpoint(kFixture / "step-00000012"), ElementsAre());
  // Values (twice, as masters too) and the first of the two moments.
  const std::string all = CheckpointRun(Precision::kFp32, 1, 7, kFixtureFfn).content();
  const size_t expected_bytes = all.size() / 4 * 3;
  const std::string expected = all.substr(0, expected_bytes);
  for (const int num_ranks : {1, 3}) {
    const TemporaryFolder folder;
    run_thread_ranks(num_ranks, [&](Communicator& world) {
      CheckpointRun run(Precision::kFp32, 2, 7, kFixtureFfn);
      CheckpointStore store(folder.path(), world, {}, "run");
      std::vector<OptimizerState> moments = {run.optimizer->state()[0]};
      const TrainingState state =
          store.restore(run.context, kFixture / "step-00000012", run.state, *run.store, moments);
      EXPECT_EQ(state.samples, 64);
      EXPECT_TRUE(run.content().substr(0, expected_bytes) == expected);
    });
  }
}

}  // namespace
}  // namespace trireme
