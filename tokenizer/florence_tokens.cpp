#include "tokenizer/florence_tokens.hpp"

#include "tokenizer/location.hpp"

namespace florence2 {

std::string location_token(int bin) { return "<loc_" + std::to_string(bin) + ">"; }

std::vector<std::string> florence_tokens() {
  std::vector<std::string> tokens = {"<od>", "</od>", "<ocr>", "</ocr>"};
  for (int bin = 0; bin < kLocationBins; ++bin) tokens.push_back(location_token(bin));
  // "desciption" is how the checkpoints spell it.
  for (const char* token : {"<cap>",
                            "</cap>",
                            "<ncap>",
                            "</ncap>",
                            "<dcap>",
                            "</dcap>",
                            "<grounding>",
                            "</grounding>",
                            "<seg>",
                            "</seg>",
                            "<sep>",
                            "<region_cap>",
                            "</region_cap>",
                            "<region_to_desciption>",
                            "</region_to_desciption>",
                            "<proposal>",
                            "</proposal>",
                            "<poly>",
                            "</poly>",
                            "<and>"}) {
    tokens.emplace_back(token);
  }
  return tokens;
}

}  // namespace florence2
