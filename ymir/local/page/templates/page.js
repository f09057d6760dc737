'use strict';
function setLanguage(language) {
  const root = document.documentElement;
  root.lang = language;
  for (const name of ['alt', 'aria-label']) {
    for (const element of document.querySelectorAll(`[data-${name}-${language}]`)) {
      element.setAttribute(name, element.getAttribute(`data-${name}-${language}`));
    }
  }
  for (const button of document.querySelectorAll('[data-set]')) {
    button.setAttribute('aria-pressed', String(button.dataset.set === language));
  }
}
document.addEventListener('DOMContentLoaded', () => {
  const open = document.documentElement.dataset.open;
  const preferred = (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
  setLanguage(open === 'both' ? preferred : open);
  for (const button of document.querySelectorAll('[data-set]')) {
    button.addEventListener('click', () => setLanguage(button.dataset.set));
  }
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((item) => { item.open = true; }));
});
