#include "launcher/train/console.h"

#include <fmt/format.h>

#include <cmath>

namespace trireme {

std::string bytes_text(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string count_text(double count) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  int unit = 0;
  while (count >= 1000 && unit < 4) {
    count /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", count, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string duration_text(double seconds) {
  const int64_t total = std::llround(seconds);
  const int64_t hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{} h {:02} min", hours, minutes);
  if (minutes > 0) return fmt::format("{} min {:02} s", minutes, total % 60);
  return fmt::format("{} s", total);
}

std::string progress_line(const StepReport& report, int64_t train_iters, double seconds_per_step) {
  const double left = seconds_per_step * static_cast<double>(train_iters - report.step);
  const std::string mfu = report.mfu ? fmt::format("  MFU {:.1f} %", 100 * *report.mfu) : "";
  return fmt::format("step {:>{}}/{}  loss {:.4f}  lr {:.2e}  grad norm {:.3f}  {} tokens/s{}  ETA {}",
                     report.step, fmt::formatted_size("{}", train_iters), train_iters, report.loss, report.lr,
                     report.grad_norm, count_text(report.tokens_per_second), mfu, duration_text(left));
}

std::string save_line(const SaveReport& report) {
  const auto rate_text = [](double rate) { return bytes_text(std::llround(rate)) + "/s"; };
  const std::optional<double> copied = snapshot_rate(report);
  return fmt::format(
      "step {}  checkpoint saved in {:.2f} s: {}, training stalled {:.3f} s{}, written at {}{}{}",
      report.step, report.commit_seconds, bytes_text(report.file_bytes), report.stall_seconds,
      copied ? ", copied at " + rate_text(*copied) : "", rate_text(write_rate(report)),
      report.replica_bytes > 0 ? fmt::format(", {} of replicas spared", bytes_text(report.replica_bytes))
                               : "",
      report.num_skipped > 0 ? fmt::format(", {} skipped so far", report.num_skipped) : "");
}

}  // namespace trireme
