'use strict';
function setLanguage(language) {
  const root = document.documentElement;
  root.lang = language;
  for (const name of ['alt', 'aria-label']) {
    for (const element of document.querySelectorAll(`[data-${name}-${language}]`)) {
      element.setAttribute(name, element.getAttribute(`data-${name}-${language}`));
    }
  }
  for (const title of document.querySelectorAll('title[data-text-en]')) {
    title.textContent = title.getAttribute(`data-text-${language}`);
  }
  for (const button of document.querySelectorAll('[data-set]')) {
    button.setAttribute('aria-pressed', String(button.dataset.set === language));
  }
}
function sortBy(heading) {  // the largest first; again: the smallest first; what is no number comes last
  const column = heading.cellIndex;
  const body = heading.closest('table').tBodies[0];
  const fallsNow = heading.getAttribute('aria-sort') === 'descending';
  const value = (row) => parseFloat(row.cells[column].textContent.replace(/,/g, ''));
  const compare = (a, b) => {
    if (!heading.matches('.n')) return a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    const [x, y] = [value(a), value(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return fallsNow ? x - y : y - x;
  };
  body.append(...[...body.rows].sort(compare));
  for (const other of heading.parentElement.cells) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', fallsNow || !heading.matches('.n') ? 'ascending' : 'descending');
}
document.addEventListener('DOMContentLoaded', () => {
  const open = document.documentElement.dataset.open;
  const preferred = (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
  setLanguage(open === 'both' ? preferred : open);
  for (const button of document.querySelectorAll('[data-set]')) {
    button.addEventListener('click', () => setLanguage(button.dataset.set));
  }
  for (const button of document.querySelectorAll('th button')) {
    button.addEventListener('click', () => sortBy(button.closest('th')));
  }
  for (const link of document.querySelectorAll('.point-map a')) {  // the picture may be folded away
    link.addEventListener('click', () => {
      const folded = document.querySelector(link.getAttribute('href'))?.closest('details');
      if (folded) folded.open = true;
    });
  }
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((item) => { item.open = true; }));
});
