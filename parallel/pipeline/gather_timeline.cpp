#include "parallel/pipeline/gather_timeline.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

namespace trireme {

Timeline gather_timeline(Communicator& world, const Timeline& mine) {
  world.barrier();
  const double meeting =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::string bytes(sizeof meeting + mine.size() * sizeof(TimelineEvent), '\0');
  std::memcpy(bytes.data(), &meeting, sizeof meeting);
  std::memcpy(bytes.data() + sizeof meeting, mine.data(), mine.size() * sizeof(TimelineEvent));

  Timeline all;
  double start = std::numeric_limits<double>::infinity();
  for (const std::string& received : world.gather_bytes(bytes)) {
    double theirs = 0;
    std::memcpy(&theirs, received.data(), sizeof theirs);
    Timeline events((received.size() - sizeof theirs) / sizeof(TimelineEvent));
    std::memcpy(events.data(), received.data() + sizeof theirs, events.size() * sizeof(TimelineEvent));
    for (TimelineEvent& event : events) {
      event.begin -= theirs;
      event.end -= theirs;
      start = std::min(start, event.begin);
    }
    all.insert(all.end(), events.begin(), events.end());
  }
  for (TimelineEvent& event : all) {
    event.begin -= start;
    event.end -= start;
  }
  return all;
}

}  // namespace trireme
