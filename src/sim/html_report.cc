// The page around the charts: its style in light and dark, and the hover text.
#include <fmt/format.h>

#include "sim/svg_chart.h"

namespace sluice {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2024; --soft: #60656c; --grid: #e3e5e8;
  --heat: #0b5cad; --c0: #1f77b4; --c1: #d6601c; --c2: #2a8f3c; --c3: #c03540; --c4: #7b5ab8;
  --c5: #8a5a44; --c6: #c957a8; --c7: #6b6f74; --c8: #9a9413; --c9: #138fa0; --c10: #334b9c; --c11: #a8791d; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --ink: #e6e8ea; --soft: #a3a9b0; --grid: #2b3036; --heat: #62b1ff;
    --c0: #5aa9e6; --c1: #f28d4f; --c2: #63c174; --c3: #ef7078; --c4: #ab8ee0; --c5: #c0917a;
    --c6: #ea8fd0; --c7: #9ea3a9; --c8: #d0c84a; --c9: #4fc4d4; --c10: #8aa0ee; --c11: #dcae57; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Noto Sans", sans-serif;
  max-width: 1400px; margin: 0 auto; padding: 16px 24px 48px; }
h1 { font-size: 24px; margin: 8px 0 4px; } h2 { font-size: 19px; margin: 32px 0 8px; }
p { max-width: 80ch; margin: 6px 0; }
table { border-collapse: collapse; margin: 10px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(520px, 100%), 1fr)); gap: 20px 36px; }
figure { margin: 0; } figcaption { margin: 0 0 4px; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); } svg text.name { fill: var(--ink); }
svg text.halo { fill: var(--ink); paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.help { color: var(--soft); font-size: 14px; max-width: 70ch; }
.grid, .tick { stroke: var(--grid); fill: none; } .tick { stroke: var(--soft); }
.cells { fill: transparent; stroke: var(--grid); }
.heat { fill: var(--heat); }
path.dashed { stroke-dasharray: 6 4; stroke: var(--soft); } .hidden { fill-opacity: 0; }
.event { stroke: var(--soft); stroke-dasharray: 2 3; } .mark { fill: var(--c3); }
[data-t]:hover { stroke: var(--ink); stroke-width: 1; }
#tip { position: fixed; display: none; pointer-events: none; background: var(--ink); color: var(--page);
  padding: 2px 8px; border-radius: 4px; font-size: 13px; z-index: 1; }
)";

constexpr std::string_view kScript = R"(
const tip = document.getElementById('tip');
// A heat map is one area: which cell, and what it holds, follows from the place.
const cell = (area, event) => {
  const d = area.dataset, box = area.getBoundingClientRect();
  const at = (part, count) => Math.max(0, Math.min(count - 1, Math.floor(part * count)));
  const row = at((event.clientY - box.top) / box.height, d.rows);
  const column = at((event.clientX - box.left) / box.width, d.columns);
  area.values = area.values || d.values.split(' ');
  return `${d.row} ${row}, ${d.column} ${column}: ${area.values[row * d.columns + column]} ${d.name}`;
};
document.addEventListener('pointermove', (event) => {
  const data = event.target.dataset || {};
  const text = data.values ? cell(event.target, event) : data.t;
  tip.style.display = text ? 'block' : 'none';
  if (!text) return;
  tip.textContent = text;
  tip.style.left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8) + 'px';
  tip.style.top = (event.clientY + 16) + 'px';
});
)";

}  // namespace

void HtmlReport::CloseFigures() {
  if (in_figures_) body_ += "</div>\n";
  in_figures_ = false;
}

void HtmlReport::AddHeading(std::string_view text) {
  CloseFigures();
  body_ += fmt::format("<h2>{}</h2>\n", EscapeHtml(text));
}

void HtmlReport::AddParagraph(std::string_view text) {
  CloseFigures();
  body_ += fmt::format("<p>{}</p>\n", EscapeHtml(text));
}

void HtmlReport::AddTable(const std::vector<std::vector<std::string>>& rows) {
  CloseFigures();
  body_ += "<div class=\"wide\"><table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* const cell = r == 0 ? "th" : "td";
    body_ += "<tr>";
    for (const std::string& text : rows[r]) {
      body_ += fmt::format("<{0}>{1}</{0}>", cell, EscapeHtml(text));
    }
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void HtmlReport::AddFigure(const std::string& svg) {
  if (!in_figures_) body_ += "<div class=\"figures\">\n";
  in_figures_ = true;
  body_ += svg;
}

std::string HtmlReport::Finish() const {
  std::string style(kStyle);
  for (int i = 0; i < 12; ++i) {  // the colours of series: s for lines, f for areas
    style += fmt::format(
        ".s{0} {{ stroke: var(--c{0}); fill: none; stroke-width: 2; }} .f{0} {{ fill: var(--c{0}); "
        "}}\n",
        i);
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n{}{}"
      "<div id=\"tip\"></div>\n<script>{}</script>\n</body>\n</html>\n",
      EscapeHtml(title_), style, EscapeHtml(title_), body_, in_figures_ ? "</div>\n" : "", kScript);
}

}  // namespace sluice
