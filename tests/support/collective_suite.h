#pragma once

#include "parallel/comm/communicator.h"

namespace trireme::testing {

/// Every collective, type, reduction and odd length against plain loops, bit by bit; called by every rank.
/// `shared`: tensors come from Communicator::allocate instead of the context.
void expect_collectives_match_loops(Communicator& group, Context& context, bool shared);
/// More operations under way than the shared board has slots, finished in another order than started.
void expect_many_operations_keep_their_order(Communicator& group, Context& context, bool shared);
/// send and receive in a ring, several tags at once.
void expect_messages_reach_their_tags(Communicator& group, Context& context);
/// Several receives of one tag take the messages in the order in which they were posted, whichever is waited
/// for first.
void expect_messages_of_one_tag_keep_their_order(Communicator& group, Context& context);
/// Calls and bytes of every operation, as CommCounters defines them; control messages count as such only.
void expect_counters_follow_their_definition(Communicator& group, Context& context);
/// gather_bytes, split by parity, by no color, nested collectives on both groups at once.
void expect_splits_work(Communicator& group, Context& context);

}  // namespace trireme::testing
