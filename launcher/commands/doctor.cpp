// `trireme doctor`: what this machine has and what would trouble a run.
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/ops/cpu/cpu_info.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/machine.h"
#include "launcher/commands/version.h"
#include "launcher/commands/world.h"
#include "launcher/train/console.h"
#include "launcher/train/instruction_set.h"
#include "launcher/train/peak.h"
#include "launcher/train/rank_placement.h"

namespace trireme {
namespace {

struct Finding {
  std::string name;
  std::string value;
  std::string advice = "";  ///< empty: fine
};

Finding memory_finding() {
  const int64_t total = memory_bytes("MemTotal"), available = memory_bytes("MemAvailable");
  return {"memory", fmt::format("{}, {} available", bytes_text(total), bytes_text(available)),
          available < (int64_t{2} << 30) ? "less than 2 GiB available: close other programs" : ""};
}

Finding shared_memory_finding(int ranks_on_host) {
  const SpaceOf space = space_of("/dev/shm");
  const bool small = space.free < ranks_on_host * (int64_t{64} << 20);
  return {
      "/dev/shm", fmt::format("{}, {} free", bytes_text(space.total), bytes_text(space.free)),
      small ? "Open MPI and the layout of checkpoints take up to 64 MiB a rank here: mount it larger" : ""};
}

Finding disk_finding(const std::string& folder) {
  const SpaceOf space = space_of(folder);
  try {
    return {
        "disk",
        fmt::format("{}: write and sync {}/s, {} free", folder,
                    bytes_text(static_cast<int64_t>(disk_write_speed(folder))), bytes_text(space.free)),
        space.free < (int64_t{5} << 30) ? "less than 5 GiB free: checkpoints take 12 bytes a parameter" : ""};
  } catch (const IoError& error) {
    return {"disk", folder, error.what()};
  }
}

Finding thread_finding(const RankPlacement& placement, int num_ranks) {
  std::string advice;
  if (num_ranks > 1 && placement.threads == 1 && omp_get_num_procs() == 1)
    advice = "each rank is bound to one core: `mpirun --bind-to none` lets a rank use more";
  return {"cores",
          fmt::format("{} {} a rank", placement.threads, placement.threads == 1 ? "thread" : "threads"),
          advice};
}

std::vector<Finding> examine(Communicator& world, const std::string& folder) {
  const RankPlacement placement = place_ranks(world);
  const std::string instructions = agree_on_instruction_set(world);
  Context context;
  context.num_threads = placement.threads;
  omp_set_num_threads(placement.threads);

  std::vector<Finding> findings;
  findings.push_back({"processor", ops::cpu::cpu_model()});
  findings.push_back(thread_finding(placement, world.size()));
  findings.push_back({"instruction set", instructions});
  world.barrier();  // all ranks of a host measure together: they compute together
  for (const auto& [name, dtype] : {std::pair{"fp32", DType::kFloat32}, std::pair{"bf16", DType::kBFloat16}})
    findings.push_back({fmt::format("matrix product {}", name),
                        fmt::format("{:.0f} GFLOP/s a rank", 1000 * measure_peak_tflops(context, dtype))});
  findings.push_back(
      {"memory bandwidth", fmt::format("{:.1f} GB/s a rank", memory_bandwidth(context) * 1e-9)});
  findings.push_back(memory_finding());
  findings.push_back(shared_memory_finding(placement.ranks_on_host));
  findings.push_back({"MPI", fmt::format("{}; {} {} on {} {}", mpi_version(), world.size(),
                                         world.size() == 1 ? "rank" : "ranks", placement.num_hosts,
                                         placement.num_hosts == 1 ? "host" : "hosts")});
  if (world.rank() == 0) findings.push_back(disk_finding(folder));
  return findings;
}

void print(const std::vector<Finding>& findings, bool json) {
  if (json) {
    nlohmann::ordered_json checks = nlohmann::ordered_json::array();
    for (const Finding& finding : findings)
      checks.push_back({{"name", finding.name},
                        {"value", finding.value},
                        {"status", finding.advice.empty() ? "ok" : "warn"},
                        {"advice", finding.advice}});
    fmt::print("{}\n", nlohmann::ordered_json{{"checks", checks}}.dump(2));
    return;
  }
  for (const Finding& finding : findings) {
    fmt::print("{:<5} {:<20} {}\n", finding.advice.empty() ? "ok" : "warn", finding.name, finding.value);
    if (!finding.advice.empty()) fmt::print("      {:<20} {}\n", "", finding.advice);
  }
}

}  // namespace

void add_doctor(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("doctor", "What this machine has, and what would trouble a run");
  const auto json = std::make_shared<bool>(false);
  const auto folder = std::make_shared<std::string>(".");
  command.add_flag("--json", *json, "Machine-readable");
  command.add_option("--folder", *folder, "Where runs would write")->capture_default_str();
  command.callback([&action, json, folder] {
    action = [=] {
      return run_in_world([&](Communicator& world) {
        const std::vector<Finding> findings = examine(world, *folder);
        if (world.rank() == 0) print(findings, *json);
        return ExitCode::kOk;
      });
    };
  });
}

}  // namespace trireme
