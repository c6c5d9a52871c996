#pragma once

namespace trireme {

/// While one lives, SIGUSR1 and SIGTERM no longer end the process: they ask it to save and exit. One at a
/// time.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  /// Whether one of them has arrived in this process.
  bool requested() const;
};

}  // namespace trireme
