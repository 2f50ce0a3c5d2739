// What charts are made of. How they look was checked in a browser; tests/trace_test.py parses a
// whole report.
#include "sim/svg_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

const ChartText kText{
    .title = "Hits <per> token", .help = "Higher is better.", .x_axis = "slots", .y_axis = "hits"};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(SvgChartTest, EveryFigureSaysWhatItShows) {
  const std::vector<ChartSeries> series = {
      {.name = "lru", .points = {{1, 0.2}, {2, 0.5}}},
      {.name = "Belady", .points = {{1, 0.4}}, .dashed = true}};
  const std::string figures[] = {
      DrawLines({.text = kText, .series = series, .y_unit = ChartUnit::kPercent}),
      DrawBars({.text = kText, .labels = {"a"}, .values = {1}}),
      DrawHeatMap({.text = kText, .rows = 1, .columns = 2, .values = {1, 2}}),
      DrawTimeline({.text = kText, .series = series, .events = {{.x = 1, .label = "rule 1"}}})};
  for (const std::string& figure : figures) {
    EXPECT_THAT(figure, HasSubstr("Hits &lt;per&gt; token"));
    EXPECT_THAT(figure, HasSubstr("Higher is better."));
    EXPECT_THAT(figure, HasSubstr(">slots</text>"));
    EXPECT_THAT(figure, HasSubstr(">hits</text>"));
    EXPECT_EQ(Count(figure, "<figure>"), Count(figure, "</figure>"));
  }
}

TEST(SvgChartTest, GapsAndEmptySeriesAreNoNumbers) {
  const std::string chart =
      DrawLines({.text = kText,
                 .series = {{.name = "a", .points = {{0, 1}, {1, kNan}, {2, 3}}}, {.name = "b"}}});
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
  EXPECT_THAT(chart, Not(HasSubstr("inf")));
  EXPECT_EQ(Count(chart, "<circle"), 2U);
  EXPECT_THAT(DrawBars({.text = kText, .labels = {"x", "y"}, .values = {kNan, 0}}),
              Not(HasSubstr("nan")));
  EXPECT_THAT(DrawLines({.text = kText}), Not(HasSubstr("nan")));
  EXPECT_THAT(DrawTimeline({.text = kText}), Not(HasSubstr("inf")));
}

// On an axis of percent the value 1 is the top, and 0 the bottom.
TEST(SvgChartTest, CurvesLieWhereTheirValuesAre) {
  const std::string chart = DrawLines({.text = kText,
                                       .series = {{.name = "a", .points = {{0, 0}, {10, 1}}}},
                                       .y_unit = ChartUnit::kPercent,
                                       .y_max = 1});
  EXPECT_THAT(chart, HasSubstr("d=\"M64.0 276.0L624.0 12.0\""));
  EXPECT_THAT(chart, HasSubstr("a: 100 % at 10"));
}

TEST(SvgChartTest, HeatMapsJoinEqualCells) {
  const std::string map = DrawHeatMap(
      {.text = kText, .rows = 2, .columns = 3, .values = {5, 5, 0, 0, 5, 5}, .row_name = "layer"});
  EXPECT_THAT(map, HasSubstr("d=\"M0 0h2v1h-2zM1 1h2v1h-2z\""));
  EXPECT_THAT(map, HasSubstr("data-values=\"5 5 0 0 5 5\""));
}

TEST(HtmlReportTest, StandsAlone) {
  HtmlReport report("A & B");
  report.AddTable({{"", "x"}, {"<row>", "1"}});
  report.AddFigure("<figure></figure>");
  const std::string page = report.Finish();
  EXPECT_THAT(page, HasSubstr("<title>A &amp; B</title>"));
  EXPECT_THAT(page, HasSubstr("<td>&lt;row&gt;</td>"));
  EXPECT_EQ(Count(page, "<div"), Count(page, "</div>"));
  EXPECT_THAT(page, Not(HasSubstr("http")));  // nothing is loaded from elsewhere
}

}  // namespace
}  // namespace sluice
