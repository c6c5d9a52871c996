// Faults on purpose while saving: what was committed before stays, nothing half-written is seen, the message
// says who, where and what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/host.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using comm::LocalCommunicator;
using comm::run_thread_ranks;
using testing::CheckpointRun;
using testing::Fault;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Saves run `seed` at `step`, with `num_ranks` ranks. The errors of the ranks.
std::vector<std::string> save(const std::string& directory, int num_ranks, int64_t step, uint64_t seed,
                              int64_t ffn = 200) {
  std::vector<std::string> errors(static_cast<size_t>(num_ranks));
  run_thread_ranks(num_ranks, [&](Communicator& world) {
    CheckpointRun run(Precision::kFp32, seed, 7, ffn);
    CheckpointStore store(directory, world, {}, "run");
    CheckpointRun old(Precision::kFp32, 99, 7, ffn);
    store.restore_newest(old.context, old.state, *old.store, old.optimizer->state());
    run.state.step = step;
    try {
      store.save(run.context, run.state, *run.store, run.optimizer->state());
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kInputOutput);
      errors[static_cast<size_t>(world.rank())] = error.what();
    }
  });
  return errors;
}

/// What one rank restores: (step, content).
std::pair<int64_t, std::string> restore(const std::string& directory) {
  LocalCommunicator world;
  CheckpointRun run(Precision::kFp32, 98);
  CheckpointStore store(directory, world, {}, "run");
  const auto state = store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
  return {state ? state->step : -1, run.content()};
}

std::vector<std::string> leftovers(const std::string& directory) {
  std::vector<std::string> result;
  for (const std::string& name : io::list_directory(directory))
    if (name.starts_with(".tmp-")) result.push_back(name);
  return result;
}

const char* const kEveryRank[] = {"prepared", "snapshot",     "skeleton",
                                  "write",    "before_fsync", "before_agreement"};
const char* const kCommitter[] = {"index", "manifest"};

TEST(CheckpointFault, AnErrorOnAnyRankFailsAllOfThemAndLeavesNothing) {
  const TemporaryFolder folder;
  save(folder.path(), 2, 10, 1);
  const std::string committed = CheckpointRun().content();
  std::vector<std::string> faults;
  for (const char* phase : kEveryRank)
    for (const char* rank : {"0", "1"}) faults.push_back(std::string(phase) + ":" + rank);
  for (const char* phase : kCommitter) faults.push_back(std::string(phase) + ":0");
  for (const std::string& place : faults) {
    const Fault fault(place + ":error");
    for (const std::string& error : save(folder.path(), 2, 20, 2)) {
      EXPECT_THAT(error, HasSubstr("rank " + place.substr(place.size() - 1) + " on " + host_name())) << place;
      EXPECT_THAT(error, HasSubstr("Input/output error")) << place;
    }
    EXPECT_TRUE(leftovers(folder.path()).empty()) << place;
    EXPECT_EQ(restore(folder.path()), std::make_pair(int64_t{10}, committed)) << place;
  }
  // The same run saves well afterwards.
  EXPECT_EQ(save(folder.path(), 2, 20, 2), (std::vector<std::string>{"", ""}));
  EXPECT_EQ(restore(folder.path()).first, 20);
}

TEST(CheckpointFault, KilledAnywhereTheLastCommittedStepRestores) {
  for (const int num_ranks : {1, 2}) {
    std::vector<std::string> phases(std::begin(kEveryRank), std::end(kEveryRank));
    phases.insert(phases.end(), std::begin(kCommitter), std::end(kCommitter));
    phases.emplace_back("rename");
    phases.emplace_back("latest");
    for (const std::string& phase : phases) {
      const TemporaryFolder folder;
      save(folder.path(), num_ranks, 10, 1);
      const Fault fault(phase + ":0:kill");
      const pid_t child = ::fork();
      if (child == 0) {
        save(folder.path(), num_ranks, 20, 2);
        ::_exit(0);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << phase;
      const bool committed = phase == "rename" || phase == "latest";
      const auto [step, content] = restore(folder.path());
      EXPECT_EQ(step, committed ? 20 : 10) << phase;
      EXPECT_TRUE(content == CheckpointRun(Precision::kFp32, committed ? 2 : 1).content()) << phase;
      EXPECT_TRUE(verify_checkpoint(folder.path() / (committed ? "step-00000020" : "step-00000010")).empty());
      EXPECT_TRUE(leftovers(folder.path()).empty()) << phase;  // the restore's lock holder cleaned up
    }
  }
}

TEST(CheckpointFault, TheHookIsStrict) {
  const TemporaryFolder folder;
  LocalCommunicator world;
  CheckpointRun run;
  CheckpointStore store(folder.path(), world, {}, "run");
  const Fault fault("write:0:explode");
  EXPECT_THROW(store.save(run.context, run.state, *run.store, run.optimizer->state()), CheckpointError);
}

/// A file system of a few megabytes or files, mounted for a scope.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& options) : path_(folder_.path() / "small") {
    std::filesystem::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }

 private:
  TemporaryFolder folder_;
  std::string path_;
  bool mounted_ = false;
};

TEST(CheckpointFault, TooLittleRoomIsToldBeforeAnythingIsWritten) {
  const SmallDisk disk("size=12m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small tmpfs needs root";
  EXPECT_EQ(save(disk.path(), 2, 10, 1), (std::vector<std::string>{"", ""}));
  for (const std::string& error : save(disk.path() + "/other", 2, 20, 2, 20000))
    EXPECT_THAT(error, HasSubstr("GiB free; make room"));
  EXPECT_TRUE(leftovers(disk.path() + "/other").empty());
  EXPECT_EQ(restore(disk.path()).first, 10);
}

TEST(CheckpointFault, NoSpaceLeftAtAnyFileLeavesNothing) {
  // Inodes: the root, .lock, the temporary directory; then the shard, the index or the manifest has none.
  const std::pair<int, const char*> cases[] = {{3, "shard-00000"}, {4, "index.h5"}, {5, "manifest.json"}};
  for (const auto& [num_inodes, file] : cases) {
    const SmallDisk disk("size=12m,nr_inodes=" + std::to_string(num_inodes));
    if (!disk.mounted()) GTEST_SKIP() << "mounting a small tmpfs needs root";
    const std::vector<std::string> errors = save(disk.path(), 1, 10, 1);
    EXPECT_THAT(errors[0], HasSubstr(file));
    EXPECT_THAT(errors[0], HasSubstr("No space left on device (errno 28)"));
    EXPECT_EQ(io::list_directory(disk.path()), std::vector<std::string>{".lock"});
  }
  const SmallDisk disk("size=12m,nr_inodes=6");  // enough for the step, not for the hint `latest`
  EXPECT_EQ(save(disk.path(), 1, 10, 1)[0], "");
  EXPECT_EQ(io::list_directory(disk.path()), (std::vector<std::string>{".lock", "step-00000010"}));
}

}  // namespace
}  // namespace trireme
