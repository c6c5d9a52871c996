#include "parallel/comm/mpi_transfers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "parallel/comm/mpi_check.h"

namespace trireme::comm {
namespace {

constexpr int64_t kLargestMessage = int64_t{1} << 30;

}  // namespace

MpiTransfers::~MpiTransfers() {
  for (Transfer& transfer : pending_) {
    if (transfer.expected >= 0) MPI_Cancel(&transfer.request);
    MPI_Request_free(&transfer.request);
  }
}

void MpiTransfers::send(const std::byte* data, int64_t bytes, int peer, int tag) {
  int64_t done = 0;
  do {
    const int length = static_cast<int>(std::min(kLargestMessage, bytes - done));
    Transfer transfer;
    transfer.peer = peer;
    TRIREME_MPI(MPI_Isend(data + done, length, MPI_BYTE, peer, tag, communicator_, &transfer.request));
    pending_.push_back(transfer);
    done += length;
  } while (done < bytes);
}

void MpiTransfers::receive(std::byte* data, int64_t bytes, int peer, int tag) {
  int64_t done = 0;
  do {
    Transfer transfer;
    transfer.peer = peer;
    transfer.expected = static_cast<int>(std::min(kLargestMessage, bytes - done));
    TRIREME_MPI(
        MPI_Irecv(data + done, transfer.expected, MPI_BYTE, peer, tag, communicator_, &transfer.request));
    pending_.push_back(transfer);
    done += transfer.expected;
  } while (done < bytes);
}

bool MpiTransfers::test() {
  for (size_t i = 0; i < pending_.size();) {
    int done = 0;
    MPI_Status status;
    TRIREME_MPI(MPI_Test(&pending_[i].request, &done, &status));
    if (!done) {
      ++i;
      continue;
    }
    const Transfer transfer = pending_[i];
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    if (transfer.expected < 0) continue;
    int received = 0;
    TRIREME_MPI(MPI_Get_count(&status, MPI_BYTE, &received));
    if (received != transfer.expected)
      throw CommError(fmt::format("rank {} sent {} bytes where {} were expected", transfer.peer, received,
                                  transfer.expected),
                      ExitCode::kRanksDisagree);
  }
  return pending_.empty();
}

std::vector<int> MpiTransfers::missing() const {
  std::vector<int> ranks;
  for (const Transfer& transfer : pending_) ranks.push_back(transfer.peer);
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

}  // namespace trireme::comm
