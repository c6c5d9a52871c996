#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/digest.h"
#include "core/io/file.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/comm/mpi_runtime.h"

/// Trireme's side of checkpoint.py: weights and AdamW's states without a model, saved and restored on
/// command, and the same bytes written and read plainly. Pipes as compare.py says.
namespace trireme::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Bytes = std::span<std::byte>;

constexpr size_t kPiece = size_t{16} << 20;

struct Options {
  int64_t matrices = 0, width = 0;
  bool replicated = false;
  std::string folder, pipes;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app("Commands, one a line, on PIPES/in.RANK; answers on PIPES/out.RANK");
  app.add_option("--matrices", options.matrices)->required();
  app.add_option("--width", options.width, "of the square matrices, in float32")->required();
  app.add_flag("--replicated", options.replicated, "every rank holds all; else each holds its rows");
  app.add_option("--folder", options.folder)->required();
  app.add_option("--pipes", options.pipes)->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// "VmHWM" or "VmRSS" of this process, in bytes.
int64_t memory(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  return 0;
}

class Side {
 public:
  Side(const Options& options, Communicator& world) : options_(options), world_(world) {
    const int64_t parts = options.replicated ? 1 : world.size();
    const int64_t rows = options.width / parts;
    for (int64_t i = 0; i < options.matrices; ++i) {
      auto parameter = std::make_unique<Parameter>();
      parameter->name = fmt::format("h.{}.weight", i);
      parameter->shape = {rows, options.width};
      const int64_t first_row = options.replicated ? 0 : world.rank() * rows;
      parameter->pieces = {
          {parameter->name, {options.width, options.width}, {first_row, 0}, parameter->shape, 0}};
      pointers_.push_back(parameter.get());
      parameters_.push_back(std::move(parameter));
    }
    PrecisionConfig precision;
    precision.dtype = Precision::kFp32;
    store_ = std::make_unique<ParameterStore>(context_, ParameterLayout(pointers_, precision));
    optimizer_ = make_optimizer(context_, OptimizerConfig(), *store_);
    fill();
    CheckpointConfig config;
    config.keep_last = 0;      // removal is not timed
    config.save_interval = 1;  // so that there is memory for copies
    checkpoints_ = std::make_unique<CheckpointStore>(options.folder + "/checkpoints", world, config, "bench");
    checkpoints_->prepare(context_, *store_, optimizer_->state());
    state_.run_id = "bench";
    state_.precision = "fp32";
    copy_.resize(static_cast<size_t>(share_bytes()));
    cycle();
  }

  json run(const std::string& command) {
    const std::map<std::string, std::function<json()>> commands = {
        {"write", [&] { return write_plainly(); }}, {"read", [&] { return read_plainly(); }},
        {"save", [&] { return save(); }},           {"start", [&] { return start(); }},
        {"restore", [&] { return restore(); }},     {"copy", [&] { return copy(); }},
        {"digest", [&] { return digest(); }},       {"cool", [&] { return cool(); }},
        {"cycle", [&] { return cycle(); }}};
    world_.barrier();
    return commands.at(command)();
  }

  /// What this rank writes of a checkpoint.
  int64_t share_bytes() const {
    return 3 * options_.matrices * options_.width * options_.width * 4 / world_.size();
  }

 private:
  std::vector<Bytes> flats() const {
    std::vector<Bytes> result = {bytes_of(store_->values())};
    for (const OptimizerState& one : optimizer_->state()) result.push_back(bytes_of(one.flat));
    return result;
  }
  static Bytes bytes_of(const Tensor& flat) { return {flat.raw(), static_cast<size_t>(flat.num_bytes())}; }

  /// Numbers that no disk can make smaller; the same on every rank where all hold all.
  void fill() {
    uint64_t state = options_.replicated ? 1 : 1 + static_cast<uint64_t>(world_.rank());
    for (const Bytes& flat : flats())
      for (size_t i = 0; i + 8 <= flat.size(); i += 8) {
        state += 0x9e3779b97f4a7c15u;
        const uint64_t mixed = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9u;
        std::memcpy(flat.data() + i, &mixed, 8);
      }
  }

  /// As many bytes as this rank's share, piece by piece, from the memory they live in.
  void for_each_piece(const std::function<void(int64_t offset, Bytes piece)>& use) const {
    int64_t offset = 0;
    for (Bytes flat : flats())
      while (!flat.empty() && offset < share_bytes()) {
        const auto left = static_cast<size_t>(share_bytes() - offset);
        const Bytes piece = flat.first(std::min({flat.size(), kPiece, left}));
        use(offset, piece);
        offset += static_cast<int64_t>(piece.size());
        flat = flat.subspan(piece.size());
      }
  }

  std::string plain_path() const { return fmt::format("{}/plain-{}", options_.folder, world_.rank()); }
  std::string step_path() const {
    return fmt::format("{}/checkpoints/step-{:08}", options_.folder, state_.step);
  }

  json write_plainly() {
    fs::remove(plain_path());
    world_.barrier();
    if (world_.rank() == 0) ::sync();
    world_.barrier();
    return {{"seconds", seconds_of([&] {
               io::File file = io::File::create(plain_path());
               for_each_piece([&](int64_t offset, Bytes piece) { file.write_at(offset, piece); });
               file.sync();
               file.close();
             })}};
  }

  json read_plainly() {
    return {{"seconds", seconds_of([&] {
               const io::File file = io::File::open_to_read(plain_path());
               const auto size = static_cast<size_t>(file.size());
               for (size_t begin = 0; begin < size; begin += kPiece)
                 file.read_at(static_cast<int64_t>(begin),
                              Bytes(copy_).subspan(begin, std::min(kPiece, size - begin)));
             })}};
  }

  json save() {
    ++state_.step;
    return {{"seconds", seconds_of([&] {
               if (const auto report = checkpoints_->save(context_, state_, *store_, optimizer_->state()))
                 if (report->error) throw *report->error;
             })}};
  }

  /// The stall of the step that starts a save, and the whole save.
  json start() {
    ++state_.step;
    double stall = 0;
    const double whole = seconds_of([&] {
      stall = seconds_of([&] { checkpoints_->start_save(context_, state_, *store_, optimizer_->state()); });
      if (const auto report = checkpoints_->wait(); report && report->error) throw *report->error;
    });
    return {{"seconds", stall}, {"whole", whole}};
  }

  json restore() {
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins here
    const int64_t before = memory("VmRSS");
    const double seconds = seconds_of(
        [&] { checkpoints_->restore(context_, step_path(), state_, *store_, optimizer_->state()); });
    return {{"seconds", seconds}, {"peak_bytes", memory("VmHWM") - before}};
  }

  json copy() {
    return {{"seconds", seconds_of([&] {
               for_each_piece([&](int64_t offset, Bytes piece) {
                 std::memcpy(copy_.data() + offset, piece.data(), piece.size());
               });
             })}};
  }

  json digest() {
    std::string digests;
    return {{"seconds", seconds_of([&] {
               for_each_piece([&](int64_t, Bytes piece) { digests += io::digest_of(piece); });
             })}};
  }

  /// What was written leaves the page cache.
  json cool() {
    if (world_.rank() == 0)
      for (const auto& entry : fs::recursive_directory_iterator(options_.folder)) {
        if (!entry.is_regular_file()) continue;
        const int descriptor = ::open(entry.path().c_str(), O_RDONLY);
        ::fsync(descriptor);
        ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
        ::close(descriptor);
      }
    world_.barrier();
    return {{"seconds", 0}};
  }

  /// Removes what was saved, and touches the memory that copies go to. The disk has done with it at the end:
  /// else the next fsync would also wait for the freed blocks.
  json cycle() {
    if (world_.rank() == 0) {
      for (const auto& entry : fs::directory_iterator(options_.folder + "/checkpoints"))
        if (entry.path().filename().string().starts_with("step-")) fs::remove_all(entry.path());
      ::sync();
    }
    std::memset(copy_.data(), 1, copy_.size());
    world_.barrier();
    return {{"seconds", 0}};
  }

  Options options_;
  Communicator& world_;
  Context context_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Parameter*> pointers_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<CheckpointStore> checkpoints_;
  TrainingState state_;
  std::vector<std::byte> copy_;
};

void serve(const Options& options, Communicator& world) {
  std::ifstream commands(fmt::format("{}/in.{}", options.pipes, world.rank()));
  std::ofstream answers(fmt::format("{}/out.{}", options.pipes, world.rank()));
  const auto answer = [&](const json& fields) { answers << fields.dump() << std::endl; };
  Side side(options, world);
  answer({{"ready", "trireme"}, {"bytes", side.share_bytes()}});
  for (std::string command; std::getline(commands, command) && command != "quit";) answer(side.run(command));
  answer({{"peak_bytes", memory("VmHWM")}});
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  const auto options = trireme::bench::parse(argc, argv);
  trireme::comm::MpiRuntime runtime;
  const auto world = runtime.world();
  trireme::bench::serve(options, *world);
}
