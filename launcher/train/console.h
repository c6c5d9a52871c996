#pragma once

#include <cstdint>
#include <string>

#include "launcher/train/step_report.h"

namespace trireme {

// How numbers are shown to a person.
std::string bytes_text(int64_t bytes);      ///< "1.2 GiB"
std::string count_text(double count);       ///< "124.4M"
std::string duration_text(double seconds);  ///< "2 h 05 min"

/// The line of one step: step/total, loss, lr, gradient norm, tokens/s, MFU and the time that is left.
std::string progress_line(const StepReport& report, int64_t train_iters, double seconds_per_step);

/// The line of a committed save: time, bytes, stall of the training thread, rates, what replicas spared.
std::string save_line(const SaveReport& report);

}  // namespace trireme
