#include "parallel/pipeline/outbox.h"

#include <algorithm>

namespace trireme {

void Outbox::release_done() {
  works_.erase(std::remove_if(works_.begin(), works_.end(), [](const auto& work) { return work->test(); }),
               works_.end());
}

void Outbox::wait_all() {
  for (const auto& work : works_) work->wait();
  works_.clear();
}

}  // namespace trireme
