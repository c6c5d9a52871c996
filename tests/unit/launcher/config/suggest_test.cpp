#include "launcher/config/suggest.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Suggestions, EditDistanceCountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("mirco", "micro"), 1);
  EXPECT_EQ(edit_distance("lr", "lr"), 0);
}

TEST(Suggestions, TheSameLeafElsewhereBeatsASimilarOneHere) {
  const std::vector<std::string> known = {"model.seq_lengths", "data.seq_length"};
  EXPECT_EQ(nearest_key("model.seq_length", known), "data.seq_length");
  EXPECT_EQ(nearest_key("model.seq_lengthy", known), "model.seq_lengths");
}

TEST(Suggestions, NothingNearGivesNothing) {
  EXPECT_EQ(nearest_key("model.zzzzz", {"data.seq_length"}), "");
}

}  // namespace
}  // namespace trireme
