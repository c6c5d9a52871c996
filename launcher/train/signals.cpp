#include "launcher/train/signals.h"

#include <signal.h>

namespace trireme {
namespace {

// A handler has no other way to say something.
volatile sig_atomic_t signal_arrived = 0;

struct sigaction previous_usr1, previous_term, previous_pipe;

}  // namespace

SignalWatch::SignalWatch() {
  signal_arrived = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { signal_arrived = 1; };
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  sigaction(SIGUSR1, &action, &previous_usr1);
  sigaction(SIGTERM, &action, &previous_term);
  // A reader of the console that goes away (`| head`) does not end a training.
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &previous_pipe);
}

SignalWatch::~SignalWatch() {
  sigaction(SIGUSR1, &previous_usr1, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
  sigaction(SIGPIPE, &previous_pipe, nullptr);
}

bool SignalWatch::requested() const {
  return signal_arrived != 0;
}

}  // namespace trireme
