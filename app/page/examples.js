/** Examples to click: each ranks as a reader would, also with the demo model. */

const english = [
  {
    lang: "en",
    query: "How much caffeine is in a cup of coffee?",
    documents: [
      "The café on the corner sells cups and plates, too.",
      "Tea has much less caffeine.",
      "The dishwasher is broken; please wash cups by hand.",
      "A cup of coffee holds about 95 mg of caffeine, an espresso 63 mg.",
      "Coffee is grown in Brazil, Vietnam and Colombia.",
      "Caffeine makes it hard to sleep when it is drunk in the evening.",
    ],
  },
  {
    lang: "en",
    query: "Can I return shoes that I have worn?",
    documents: [
      "Our shops open at ten and close at eight.",
      "We sell running shoes, boots and sandals.",
      "Shoes can be returned within 30 days if they were not worn outside.",
      "Orders leave our warehouse within a day.",
      "Worn shoes cannot be returned, but shoes with a defect are repaired for two years.",
      "Gift cards never expire.",
    ],
  },
];

const korean = {
  lang: "ko",
  query: "내일 회의는 언제인가요?",
  documents: [
    "오늘 점심은 구내식당에서 김치찌개를 먹었습니다.",
    "품질 회의에 참석하는 분은 내일 아침까지 자료를 보내 주세요.",
    "지난주 회의록은 공유 폴더에 올려 두었습니다.",
    "회의실 예약은 사내 포털에서 할 수 있습니다.",
    "내일 오후 2시에 3층 회의실에서 품질 회의가 있습니다.",
    "내일은 전국에 비가 오고 기온이 크게 떨어지겠습니다.",
  ],
};

/** Three of them, the first in the `language` of the page. */
export function examplesFor(language) {
  return language === "ko" ? [korean, ...english] : [...english, korean];
}
