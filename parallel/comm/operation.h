#pragma once

#include <vector>

#include "parallel/comm/call.h"

namespace trireme::comm {

/// One communication as a state machine. It holds the tensors of its call.
class Operation {
 public:
  Operation(Call&& call, const CallSite& site) : call_(std::move(call)), site_(site) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Goes as far as it can without waiting; true when done. Not called again after that.
  virtual bool advance() = 0;
  /// Ranks of the group on which this operation waits, as far as this rank can tell.
  virtual std::vector<int> missing() const = 0;

  const Call& call() const { return call_; }
  const CallSite& site() const { return site_; }
  std::string describe() const { return site_.describe(call_); }

 protected:
  Call call_;
  CallSite site_;
};

}  // namespace trireme::comm
