#pragma once

#include <mpi.h>

#include <vector>

#include "core/tensor/tensor.h"

namespace trireme::comm {

/// A set of messages under way; owner of their MPI requests. The buffers must outlive it. Large messages are
/// cut, since MPI counts are 32 bits.
class MpiTransfers {
 public:
  explicit MpiTransfers(MPI_Comm communicator) : communicator_(communicator) {}
  /// Takes receives back: nothing may be written into a buffer that is about to be freed.
  ~MpiTransfers();
  MpiTransfers(MpiTransfers&& other) noexcept = default;
  MpiTransfers& operator=(MpiTransfers&& other) = delete;

  void send(const std::byte* data, int64_t bytes, int peer, int tag);
  void receive(std::byte* data, int64_t bytes, int peer, int tag);
  /// Moves them along; true when all are done. Throws CommError when a message was shorter than expected.
  bool test();
  std::vector<int> missing() const;  ///< peers of messages that are not done

 private:
  struct Transfer {
    MPI_Request request = MPI_REQUEST_NULL;
    int peer = 0;
    int expected = -1;  ///< bytes of a receive
  };
  MPI_Comm communicator_;
  std::vector<Transfer> pending_;
};

}  // namespace trireme::comm
