// Saves in the background: training goes on, every rank hears the same in the same call, and whatever fails,
// on whichever rank, leaves nothing.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "core/base/error.h"
#include "core/base/host.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/background_task.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/staging.h"
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

/// One rank's run, its store and the step it has reached.
struct Rank {
  explicit Rank(const std::string& directory, Communicator& world, const CheckpointConfig& config = {},
                uint64_t seed = 1)
      : run(Precision::kBf16, seed), store(directory, world, config, "run") {}

  bool start(int64_t step) {
    run.state.step = step;
    return store.start_save(run.context, run.state, *run.store, run.optimizer->state());
  }
  void save(int64_t step) {
    run.state.step = step;
    store.save(run.context, run.state, *run.store, run.optimizer->state());
  }
  /// What an optimizer step does to them: other numbers everywhere.
  void change() {
    std::memset(run.store->values().raw(), 7, static_cast<size_t>(run.store->values().num_bytes()));
    std::memset(run.store->masters().raw(), 7, static_cast<size_t>(run.store->masters().num_bytes()));
    for (const OptimizerState& one : run.optimizer->state())
      std::memset(one.flat.raw(), 7, static_cast<size_t>(one.flat.num_bytes()));
  }
  /// Steps of training until the save under way ends; how many there were.
  int train_until_saved(std::optional<SaveReport>& report) {
    int steps = 0;
    for (; !report; ++steps) {
      if (!store.is_saving()) throw std::logic_error("the save has ended unheard");
      report = store.poll();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return steps;
  }

  CheckpointRun run;
  CheckpointStore store;
};

/// What `num_ranks` ranks restore: (step, content).
std::pair<int64_t, std::string> restored(const std::string& directory, int num_ranks = 1) {
  std::pair<int64_t, std::string> result;
  run_thread_ranks(num_ranks, [&](Communicator& world) {
    Rank rank(directory, world, {}, 98);
    CheckpointRun& run = rank.run;
    const auto state = rank.store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
    if (world.rank() == 0) result = {state ? state->step : -1, run.content()};
  });
  return result;
}

std::string content_of(uint64_t seed) {
  return CheckpointRun(Precision::kBf16, seed).content();
}

std::vector<std::string> names(const std::string& directory) {
  std::vector<std::string> result;
  for (const std::string& name : io::list_directory(directory))
    if (name != ".lock" && name != "latest") result.push_back(name);
  return result;
}

TEST(AsyncCheckpoint, TrainingGoesOnWhileASlowRankWritesAndTheStepIsThatOfTheStart) {
  const TemporaryFolder folder;
  const Fault fault("before_fsync:1:delay=1");
  run_thread_ranks(3, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    EXPECT_TRUE(rank.start(20));
    rank.change();
    // A call that waited for the writer would end the save; a commit before it would be seen.
    for (int step = 0; step < 10; ++step) EXPECT_FALSE(rank.store.poll().has_value());
    EXPECT_TRUE(rank.store.is_saving());
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "step-00000020"));
    std::optional<SaveReport> report;
    rank.train_until_saved(report);
    EXPECT_FALSE(report->error.has_value());
    EXPECT_FALSE(rank.store.is_saving());
    EXPECT_FALSE(rank.store.wait().has_value());
  });
  EXPECT_TRUE(verify_checkpoint(folder.path() / "step-00000020").empty());
  EXPECT_EQ(restored(folder.path(), 2), std::make_pair(int64_t{20}, content_of(1)));
}

TEST(AsyncCheckpoint, TheSnapshotTakesSeveralThreadsAndRowsThatArePadded) {
  const TemporaryFolder folder;
  const int num_threads = omp_get_max_threads();
  LocalCommunicator world;
  {
    CheckpointRun run(Precision::kFp32, 1, 7, 1100, 256);  // pieces of 1 MiB, strided
    run.context.num_threads = num_threads;
    EXPECT_GT(run.parameters[3]->value.row_stride(), 256);
    CheckpointStore store(folder.path(), world, {}, "run");
    store.start_save(run.context, run.state, *run.store, run.optimizer->state());
    std::memset(run.store->values().raw(), 7, static_cast<size_t>(run.store->values().num_bytes()));
    EXPECT_FALSE(store.wait()->error.has_value());
  }
  CheckpointRun run(Precision::kFp32, 9, 7, 1100, 256);
  CheckpointStore store(folder.path(), world, {}, "run");
  store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
  EXPECT_TRUE(run.content() == CheckpointRun(Precision::kFp32, 1, 7, 1100, 256).content());
}

TEST(AsyncCheckpoint, EveryRankHearsOfTheEndInTheSameCallHoweverLateAWriterIs) {
  for (const char* fault : {"before_agreement:0:delay=0.1", "skeleton:2:delay=0.1", "index:0:delay=0.1"}) {
    const TemporaryFolder folder;
    const Fault late(fault);
    std::vector<int> steps(3);
    run_thread_ranks(3, [&](Communicator& world) {
      Rank rank(folder.path(), world);
      rank.start(20);
      std::optional<SaveReport> report;
      steps[static_cast<size_t>(world.rank())] = rank.train_until_saved(report);
      EXPECT_FALSE(report->error.has_value());
    });
    EXPECT_GT(steps[0], 3) << fault;
    EXPECT_EQ(steps, std::vector<int>(3, steps[0])) << fault;
  }
}

TEST(AsyncCheckpoint, ASaveThatIsDueWhileOneIsUnderWayIsSkippedAndCounted) {
  const TemporaryFolder folder;
  const Fault fault("before_fsync:0:delay=0.5");
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    EXPECT_TRUE(rank.start(10));
    EXPECT_FALSE(rank.store.poll_to_commit().has_value());  // it does not wait for a shard
    EXPECT_FALSE(rank.start(11));
    EXPECT_FALSE(rank.start(12));
    const std::optional<SaveReport> first = rank.store.wait();
    EXPECT_EQ(first->step, 10);
    EXPECT_EQ(first->num_skipped, 2);
    EXPECT_TRUE(rank.start(13));
    EXPECT_EQ(rank.store.wait()->num_skipped, 2);
  });
  EXPECT_THAT(names(folder.path()), ::testing::ElementsAre("step-00000010", "step-00000013"));
}

TEST(AsyncCheckpoint, StepZeroIsSavedAndGoneOnFromLikeAnyOther) {
  const TemporaryFolder folder;
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    EXPECT_TRUE(rank.start(0));
    EXPECT_FALSE(rank.store.wait()->error.has_value());
  });
  EXPECT_EQ(restored(folder.path()), std::make_pair(int64_t{0}, content_of(1)));
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    CheckpointRun& run = rank.run;
    rank.store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
    EXPECT_TRUE(rank.start(1));
    EXPECT_FALSE(rank.store.wait()->error.has_value());
  });
  EXPECT_THAT(names(folder.path()), ::testing::ElementsAre("step-00000000", "step-00000001"));
}

TEST(AsyncCheckpoint, WhereOnlyTheCommitIsLeftADueSaveWaitsForIt) {
  const TemporaryFolder folder;
  const Fault fault("index:0:delay=0.3");
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    rank.start(10);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // for the shards, far more than they take
    std::optional<SaveReport> report;
    while (!report) report = rank.store.poll_to_commit();
    EXPECT_EQ(report->step, 10);
    EXPECT_TRUE(rank.start(11));
    EXPECT_FALSE(rank.store.wait()->error.has_value());
  });
}

TEST(AsyncCheckpoint, AnErrorOnAnyRankInAnyPhaseIsHeardByAllAndLeavesNothing) {
  const TemporaryFolder folder;
  std::vector<std::string> places;
  for (const char* phase : {"prepared", "snapshot", "skeleton", "write", "before_fsync", "before_agreement"})
    for (const char* rank : {"0", "1", "2"}) places.push_back(std::string(phase) + ":" + rank);
  places.insert(places.end(), {"index:0", "manifest:0"});
  run_thread_ranks(3, [&](Communicator& world) { Rank(folder.path(), world).save(10); });
  for (const std::string& place : places) {
    const Fault fault(place + ":error");
    run_thread_ranks(3, [&](Communicator& world) {
      Rank rank(folder.path(), world, {}, 2);
      CheckpointRun old(Precision::kBf16, 99);
      rank.store.restore_newest(old.context, old.state, *old.store, old.optimizer->state());
      std::optional<SaveReport> report;
      try {
        EXPECT_TRUE(rank.start(20));
        rank.train_until_saved(report);
      } catch (const CheckpointError& error) {  // found before the copy
        EXPECT_TRUE(place.starts_with("prepared")) << place;
        report = SaveReport{.step = 20, .error = error};
      }
      ASSERT_TRUE(report->error.has_value()) << place;
      EXPECT_EQ(report->error->exit_code(), ExitCode::kInputOutput) << place;
      EXPECT_THAT(report->error->what(),
                  HasSubstr("rank " + place.substr(place.size() - 1) + " on " + host_name()));
      EXPECT_THAT(report->error->what(), HasSubstr("Input/output error"));
      if (world.rank() == 0) {
        EXPECT_THAT(names(folder.path()), ::testing::ElementsAre("step-00000010")) << place;
      }
    });
  }
  EXPECT_EQ(restored(folder.path()), std::make_pair(int64_t{10}, content_of(1)));
}

TEST(AsyncCheckpoint, AfterAFailedSaveTheNextOneOfTheSameStoreWorks) {
  const TemporaryFolder folder;
  for (const bool background : {true, false}) {
    run_thread_ranks(2, [&](Communicator& world) {
      Rank rank(folder.path(), world, {}, 3);
      if (world.rank() == 0) ::setenv("TRIREME_FAULT", "before_fsync:1:error", 1);
      world.barrier();
      rank.start(background ? 20 : 40);
      EXPECT_TRUE(rank.store.wait()->error.has_value());
      if (world.rank() == 0) ::unsetenv("TRIREME_FAULT");
      world.barrier();
      if (background) {
        rank.start(21);
        EXPECT_FALSE(rank.store.wait()->error.has_value());
      } else {
        rank.save(41);
      }
    });
    EXPECT_EQ(restored(folder.path(), 3), std::make_pair(int64_t{background ? 21 : 41}, content_of(3)));
  }
}

TEST(AsyncCheckpoint, AnExceptionInTrainingGivesTheSaveUpAndLeavesNothing) {
  for (const char* fault :
       {"skeleton:0:delay=0.2", "write:1:error", "before_fsync:1:delay=0.2", "index:0:delay=0.2"}) {
    const TemporaryFolder folder;
    const Fault slow(fault);
    try {
      run_thread_ranks(2, [&](Communicator& world) {
        Rank rank(folder.path(), world);
        rank.start(20);
        for (int step = 0; step < 4; ++step) {
          rank.store.poll();
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        if (world.rank() == 1) throw DataError("a bad sample");
        world.barrier();
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const DataError& error) {
      EXPECT_STREQ(error.what(), "a bad sample");
    }
    const std::vector<std::string> left = names(folder.path());
    // A commit that had begun may end well.
    EXPECT_TRUE(left.empty() || (fault[0] == 'i' && left == std::vector<std::string>{"step-00000020"}))
        << fault << ": " << left[0];
  }
}

TEST(AsyncCheckpoint, AStoreThatGoesWhileSavingGivesTheSaveUp) {
  const TemporaryFolder folder;
  const Fault fault("before_fsync:1:delay=0.2");
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    rank.start(20);
    rank.store.poll();
    world.barrier();
  });
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(AsyncCheckpoint, RanksThatTakeTooLongAreNamedOnEveryRank) {
  const TemporaryFolder folder;
  CheckpointConfig config;
  config.save_timeout_seconds = 1;
  const Fault fault("before_fsync:1:delay=1.6");
  std::vector<std::string> errors(3);
  run_thread_ranks(3, [&](Communicator& world) {
    Rank rank(folder.path(), world, config);
    rank.start(20);
    try {
      rank.store.wait();
    } catch (const CommError& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kWatchdog);
      errors[static_cast<size_t>(world.rank())] = error.what();
    }
    world.barrier();  // nobody has given the others up
  });
  for (const std::string& error : errors) {
    EXPECT_THAT(error, HasSubstr("the checkpoint of step 20 is not saved after 1 s: rank 1 on " +
                                 host_name() + " is still writing a shard"));
  }
}

TEST(AsyncCheckpoint, NoSignalInterruptsTheBackground) {
  checkpoint::BackgroundTask task([] {
    sigset_t blocked;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    checkpoint::Outcome outcome;
    for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) outcome.exit_code += !::sigismember(&blocked, signal);
    return outcome;
  });
  EXPECT_EQ(task.take().exit_code, 0);
}

TEST(AsyncCheckpoint, ReportsWhatASaveCostAndWhatReplicasSpared) {
  const TemporaryFolder folder;
  run_thread_ranks(3, [&](Communicator& world) {
    Rank rank(folder.path(), world);
    rank.start(20);
    const std::optional<SaveReport> report = rank.store.wait();
    if (world.rank() != 0) return;
    EXPECT_EQ(report->step, 20);
    int64_t whole = 0, files = 0;
    for (const auto& tensor : checkpoint::load_manifest(folder.path() / "step-00000020").tensors)
      for (const auto& saved : tensor.boxes) whole += saved.num_bytes;
    EXPECT_EQ(report->tensor_bytes, whole);
    EXPECT_EQ(report->replica_bytes, 2 * whole);
    for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "step-00000020"))
      if (entry.path().extension() == ".h5") files += static_cast<int64_t>(entry.file_size());
    EXPECT_EQ(report->file_bytes, files);
    EXPECT_GT(report->snapshot_seconds, 0);
    EXPECT_GT(report->write_seconds, 0);
    EXPECT_GT(report->commit_seconds, report->write_seconds);
    EXPECT_GT(report->stall_seconds, report->snapshot_seconds);
  });
}

TEST(AsyncCheckpoint, TooLittleMemoryForTheCopyIsSaidWithTheGiBNeeded) {
  const int64_t gib = int64_t{1} << 30;
  EXPECT_NO_THROW(checkpoint::require_memory(gib, gib, "here", 2));
  try {
    checkpoint::require_memory(3 * gib, gib / 2, "node7", 4);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the snapshots of 4 ranks on host node7 take 3.000 GiB of memory, "
                                        "0.500 GiB are left"));
  }
}

TEST(AsyncCheckpoint, TooLittleMemoryIsFoundAtStartUpAndWithoutACopyNotNeeded) {
  const TemporaryFolder folder;
  const std::string fake = folder.write("meminfo", "MemTotal: 9000 kB\nMemAvailable: 100 kB\n").string();
  const pid_t child = ::fork();
  if (child == 0) {
    // In a namespace of mounts of its own, the kernel says that 100 KiB are left.
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(fake.c_str(), "/proc/meminfo", nullptr, MS_BIND, nullptr) != 0)
      ::_exit(77);
    LocalCommunicator world;
    CheckpointConfig config;
    config.save_interval = 1;
    int code = 1;
    try {
      Rank rank(folder.path() / "checkpoints", world, config);
      rank.store.prepare(rank.run.context, *rank.run.store, rank.run.optimizer->state());
    } catch (const CheckpointError& error) {
      if (std::string(error.what()).find("the snapshots of 1 rank on host") != std::string::npos)
        code = static_cast<int>(error.exit_code());
    }
    config.async = false;
    Rank rank(folder.path() / "checkpoints", world, config);
    rank.store.prepare(rank.run.context, *rank.run.store, rank.run.optimizer->state());
    rank.save(5);
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "mounting over /proc/meminfo needs root";
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ExitCode::kDevice));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "checkpoints/step-00000005/manifest.json"));
}

}  // namespace
}  // namespace trireme
