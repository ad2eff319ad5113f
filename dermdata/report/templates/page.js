"use strict";
{
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const show = (element, visible) => { element.hidden = !visible; };

  // what needs this script is not there without it
  all(".controls, #filter").forEach((element) => show(element, true));

  // ---- colors: the system's until asked for others
  const theme = one("theme");
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const tellTheme = () => theme.setAttribute("aria-pressed", String(dark()));
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    tellTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tellTheme);
  tellTheme();

  // ---- pictures: blurred until asked for
  const veils = all("button.veil");
  const unveil = one("unveil");
  const set = (button, visible) => button.setAttribute("aria-pressed", String(visible));
  const open = (button) => button.getAttribute("aria-pressed") === "true";
  const tellVeils = () => { if (unveil) set(unveil, veils.length > 0 && veils.every(open)); };
  veils.forEach((button) => button.addEventListener("click", () => {
    set(button, !open(button));
    tellVeils();
  }));
  if (unveil) {
    show(unveil, veils.length > 0);
    unveil.addEventListener("click", () => {
      const visible = !open(unveil);
      veils.forEach((button) => set(button, visible));
      set(unveil, visible);
    });
  }

  // ---- findings: by level, code and text
  const filter = one("filter");
  if (filter) {
    const findings = all("article.finding").map((element) => ({
      element, words: element.textContent.toLowerCase(), level: element.dataset.level, code: element.dataset.code,
      size: Number(element.dataset.size),
    }));
    const written = findings.reduce((sum, finding) => sum + finding.size, 0);
    const chapters = all(".chapter");
    const apply = () => {
      const text = one("text").value.trim().toLowerCase();
      const code = one("code").value;
      const levels = new Set(all("input[name=level]:checked", filter).map((box) => box.value));
      let count = 0;
      findings.forEach((finding) => {
        const fits = levels.has(finding.level) && (!code || finding.code === code) && finding.words.includes(text);
        show(finding.element, fits);
        if (fits) count += finding.size;
      });
      // what is asked for is unfolded; without a question, kinds stay as the person left them
      if (text || code) all("details.fold").forEach((kind) => {
        kind.open = all("article.finding:not([hidden])", kind).length > 0;
      });
      all("details.fold").forEach((kind) => show(kind, all("article.finding:not([hidden])", kind).length > 0));
      // a chapter without a match would look as if nothing had been found
      chapters.forEach((chapter) => {
        show(chapter, count === written || all("article.finding:not([hidden])", chapter).length > 0);
      });
      const unwritten = Number(one("shown").dataset.found) - written;
      const rest = unwritten > 0 ? `; ${unwritten.toLocaleString("en")} more are not written out here` : "";
      one("shown").textContent = `${count.toLocaleString("en")} of ${written.toLocaleString("en")} findings shown${rest}`;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // ---- paper shows what a click would: of a kind that nobody unfolded, the first few findings without evidence
  let opened = [];
  const printed = Number(one("findings")?.dataset.printed ?? 0);
  const beyond = (kind) => all("article.finding:not([hidden])", kind).slice(printed);
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])").filter((details) => !details.closest(".finding"));
    opened.forEach((details) => {
      details.open = true;
      if (!details.matches(".fold")) return;
      beyond(details).forEach((finding) => finding.classList.add("beyond"));
      details.classList.toggle("brief", beyond(details).length > 0);
    });
  });
  addEventListener("afterprint", () => {
    opened.forEach((details) => { details.open = false; details.classList.remove("brief"); });
    all(".beyond").forEach((finding) => finding.classList.remove("beyond"));
  });
}
