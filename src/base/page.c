#include "base/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void ws_page_put(struct ws_page *page, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    if (page->rc != 0)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    page->rc = ws_buf_add_text(page->out, line, page->err);
}

void ws_page_text(struct ws_page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            ws_page_put(page, "&lt;");
            break;
        case '>':
            ws_page_put(page, "&gt;");
            break;
        case '&':
            ws_page_put(page, "&amp;");
            break;
        case '"':
            ws_page_put(page, "&quot;");
            break;
        default:
            ws_page_put(page, "%c", *text);
        }
    }
}

const char *ws_page_colour(size_t index)
{
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#7f7f7f", "#b8a000",
                                          "#000000", "#8c564b"};
    return colours[index % (sizeof(colours) / sizeof(colours[0]))];
}

double ws_page_step(double most, double want)
{
    double raw = most / want, power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;"
    "max-width:860px;margin:1.5rem auto;padding:0 1rem}\n"
    "h1{font-size:1.35rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}\n"
    "p,figcaption{color:#444;margin:.3rem 0}figure{margin:0;break-inside:avoid}\n"
    "figure>svg{width:100%;max-width:720px;height:auto;display:block}\n"
    "svg text{font:12px system-ui,sans-serif;fill:#333}svg text.on{fill:#111}\n"
    ".grid{stroke:#ddd;fill:none}.ci{stroke:#000;stroke-width:1.5;fill:none}\n"
    ".edge{fill:#009e73}.transfer{fill:#e69f00}.cloud{fill:#0072b2}.both{fill:#999}\n"
    ".edgekey{color:#007a59;font-weight:600}.cloudkey{color:#0072b2;font-weight:600}"
    ".transferkey{color:#b07800;font-weight:600}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:13px}\n"
    ".legend svg{vertical-align:middle}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}\n"
    "td,tbody th{white-space:nowrap}td{text-align:right}\n"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:bottom}\n"
    "tbody th{text-align:left}small{color:#777}\n"
    "@media print{body{margin:0;max-width:none;font-size:11px}.scroll{overflow:visible}"
    "table{font-size:8px}td,th{padding:.15rem .3rem}thead th{white-space:normal}"
    "figure>svg{max-width:520px}}\n";

void ws_page_begin(struct ws_page *page, const char *title)
{
    ws_page_put(page,
                "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, "
                "initial-scale=1\">\n<title>");
    ws_page_text(page, title);
    ws_page_put(page, "</title>\n<style>\n");
    if (page->rc == 0)
        page->rc = ws_buf_add_text(page->out, style, page->err);
    ws_page_put(page, "</style></head><body>\n");
}

void ws_page_end(struct ws_page *page)
{
    ws_page_put(page, "<p>wattshed " WS_VERSION "</p></body></html>\n");
}
