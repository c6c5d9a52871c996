// Every byte of a small checkpoint is flipped once (TRIREME_FLIP_EVERY_BYTE=1; else some, drawn from a seed):
// verify finds each, and restore refuses or gives the right bits. Then damage of other kinds at random.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "core/base/error.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using comm::LocalCommunicator;
using testing::CheckpointRun;
using testing::read_file;
using testing::TemporaryFolder;

constexpr const char* kStep = "step-00000024";
constexpr const char* kOlderStep = "step-00000012";

/// bfloat16, so that there are all roles; the smallest tensors.
CheckpointRun small_run(uint64_t seed) {
  return CheckpointRun(Precision::kBf16, seed, 7, 3, 2);
}

/// The checkpoint of two ranks, and one before it.
void save_small(const fs::path& folder) {
  comm::run_thread_ranks(2, [&](Communicator& world) {
    CheckpointStore store(folder, world, {}, "run");
    for (const uint64_t seed : {1u, 2u}) {
      CheckpointRun run = small_run(seed);
      run.state.step = 12 * static_cast<int64_t>(seed);
      store.save(run.context, run.state, *run.store, run.optimizer->state());
    }
  });
}

/// A copy of the checkpoint for one thread to damage and to restore.
class Victim {
 public:
  explicit Victim(const fs::path& saved) : run_(small_run(3)) {
    fs::copy(saved, folder_.path(), fs::copy_options::recursive);
    store_ = std::make_unique<CheckpointStore>(folder_.path(), world_, CheckpointConfig(), "run");
    read();
    EXPECT_TRUE(run_.content() == small_run(2).content());
    forget();
    read();
    expected_ = run_.content();  // with what lies between the tensors, which nothing restores
  }

  fs::path step() const { return folder_.path() / kStep; }
  fs::path older_step() const { return folder_.path() / kOlderStep; }

  bool verifies() { return verify_checkpoint(step()).empty(); }

  enum class Outcome { kRefused, kRight, kWrong };
  Outcome restore() {
    forget();
    try {
      read();
    } catch (const CheckpointError&) {
      return Outcome::kRefused;
    }
    return run_.content() == expected_ ? Outcome::kRight : Outcome::kWrong;
  }

 private:
  void read() { store_->restore(run_.context, step(), run_.state, *run_.store, run_.optimizer->state()); }
  /// No number may be right because an earlier restore left it.
  void forget() {
    const auto fill = [](const Tensor& flat) {
      std::memset(flat.raw(), 0x55, static_cast<size_t>(flat.num_bytes()));
    };
    fill(run_.store->values());
    fill(run_.store->masters());
    for (OptimizerState& one : run_.optimizer->state()) fill(one.flat);
  }

  TemporaryFolder folder_;
  LocalCommunicator world_;
  std::string expected_;
  CheckpointRun run_;
  std::unique_ptr<CheckpointStore> store_;
};

struct Place {
  std::string file;
  int64_t offset;
};

std::vector<Place> every_byte(const fs::path& step) {
  std::vector<Place> places;
  for (const auto& entry : fs::directory_iterator(step))
    for (int64_t offset = 0; offset < static_cast<int64_t>(entry.file_size()); ++offset)
      places.push_back({entry.path().filename(), offset});
  return places;
}

void flip(const fs::path& path, int64_t offset) {
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(offset);
  const char byte = static_cast<char>(stream.get() ^ (1 << (offset % 8)));
  stream.seekp(offset);
  stream.put(byte);
}

uint64_t drawn_seed() {
  const char* text = std::getenv("TRIREME_DAMAGE_SEED");
  const uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device()();
  fmt::print("seed {} (TRIREME_DAMAGE_SEED repeats it)\n", seed);
  return seed;
}

TEST(EveryByte, OfASmallCheckpointIsGuarded) {
  const TemporaryFolder saved;
  save_small(saved.path());
  std::vector<Place> places = every_byte(saved.path() / kStep);
  ASSERT_LE(places.size(), 512u * 1024u);
  if (std::getenv("TRIREME_FLIP_EVERY_BYTE") == nullptr) {
    std::mt19937_64 random(drawn_seed());
    std::shuffle(places.begin(), places.end(), random);
    places.resize(300);
  }
  std::atomic<size_t> next{0}, refused{0}, right{0};
  const auto work = [&] {
    Victim victim(saved.path());
    EXPECT_TRUE(victim.verifies());
    EXPECT_EQ(victim.restore(), Victim::Outcome::kRight);
    for (size_t i = next++; i < places.size(); i = next++) {
      const fs::path path = victim.step() / places[i].file;
      flip(path, places[i].offset);
      EXPECT_FALSE(victim.verifies()) << places[i].file << " byte " << places[i].offset;
      const Victim::Outcome outcome = victim.restore();
      EXPECT_NE(outcome, Victim::Outcome::kWrong) << places[i].file << " byte " << places[i].offset;
      ++(outcome == Victim::Outcome::kRefused ? refused : right);
      flip(path, places[i].offset);
    }
    EXPECT_TRUE(victim.verifies());
  };
  std::thread other(work);
  work();
  other.join();
  fmt::print("{} bytes flipped: {} restores refused, {} with the right bits\n", places.size(), refused.load(),
             right.load());
  EXPECT_GT(refused, 0u);
}

/// Damage of a whole file; empty: the file goes.
std::optional<std::string> damaged(std::string bytes, const std::string& other, std::mt19937_64& random) {
  const auto below = [&](size_t end) { return static_cast<size_t>(random() % (end + 1)); };
  const size_t begin = below(bytes.size()), length = below(bytes.size() - begin);
  switch (random() % 6) {
    case 0:  // cut short
      return bytes.substr(0, begin);
    case 1:  // longer
      return bytes + bytes.substr(begin, length + 1);
    case 2:  // a range of zeros, as a disk leaves that had not written it
      return bytes.replace(begin, length, length, '\0');
    case 3: {  // two halves of a range swapped
      const std::string range = bytes.substr(begin, length / 2);
      bytes.erase(begin, range.size());
      return bytes.insert(begin + below(length - length / 2), range);
    }
    case 4:  // the same range of the step before
      return begin < other.size() ? bytes.replace(begin, length, other.substr(begin, length)) : other;
    default:
      return std::nullopt;
  }
}

TEST(EveryByte, NoRandomDamageIsTakenSilently) {
  const TemporaryFolder saved;
  save_small(saved.path());
  Victim victim(saved.path());
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(victim.step())) files.push_back(entry.path().filename());
  std::sort(files.begin(), files.end());
  std::mt19937_64 random(drawn_seed());
  for (int draw = 0; draw < 150; ++draw) {
    const std::string name = files[random() % files.size()];
    const fs::path path = victim.step() / name;
    const std::string bytes = read_file(path);
    const auto damage = damaged(bytes, read_file(victim.older_step() / name), random);
    if (damage == bytes) continue;
    fs::remove(path);
    if (damage) std::ofstream(path, std::ios::binary) << *damage;
    EXPECT_FALSE(victim.verifies()) << "draw " << draw << ": " << name;
    EXPECT_NE(victim.restore(), Victim::Outcome::kWrong) << "draw " << draw << ": " << name;
    std::ofstream(path, std::ios::binary) << bytes;
  }
  EXPECT_TRUE(victim.verifies());
}

}  // namespace
}  // namespace trireme
