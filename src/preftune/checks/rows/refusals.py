"""How refusals begin, in English and, in their commonest words, in fourteen more languages.

The patterns are matched where a sentence begins, against lower case with plain apostrophes and
single spaces. They want that the speaker can't or won't do what an assistant is asked for: "I
can't wait", "I can't tell if you mean it" and "I'm sorry, I don't understand" are no refusals.
"""

import re

_LEAD = (
    r"(?:(?:oh(?: no)?|well|hi|hello|hey|hmm+|hm|okay|ok|wow|uh|um+|no|nope|yes|unfortunately|"
    r"sadly|regrettably|actually|honestly|but|and|however|again|thank you|thanks)\b[,.!:; -]+)*"
)
_SORRY = (
    r"(?:(?:i'm|i am|we're|we are) (?:(?:really|very|so|truly|deeply|terribly) )?(?:sorry|afraid)|"
    r"sorry|(?:my (?:sincere )?)?apologies|i (?:do )?(?:sincerely )?apologi[sz]e)"
    r"(?:,? for (?:any|the|my) [a-z ]{1,30})?[,.;:!—– -]+(?:(?:but|that|however|unfortunately|as|"
    r"because|no)\b,? )*"
)
_HEDGE = r"(?:(?:really|just|simply|still|currently|definitely|honestly|certainly|also) )*"
_WONT = (
    r"(?:can't|cannot|can not|cant|won't|will not|shouldn't|should not|would never|will never|"
    r"refuse to|(?:would|'d) (?:rather|prefer) not(?: to)?|"
    rf"(?:am|'m|are|'re) {_HEDGE}(?:not (?:really |currently )?(?:able|allowed|permitted|"
    r"programmed|designed|going|willing|capable|in a position|supposed)|unable|unwilling)"
    r"(?: (?:of|to))?|"
    r"(?:don't|do not) (?:think (?:that )?i (?:can|should)|want to|wish to|"
    r"have the (?:ability|capability|capacity) to))"
)
_ASKED = (
    r"(?:help(?! but| thinking| feeling| notic| wonder| it\b)|assist|provide|give|tell (?:you|"
    r"people|anyone)(?! (?:if|whether|for sure))|answer|do (?:that|this|so|it|anything)|create|"
    r"write|generate|support|fulfil|comply|engage|participate|offer|recommend|share|discuss|"
    r"condone|encourage|promote|advise|suggest|respond to|be (?:a )?(?:part|party|involved)|"
    r"talk about|teach|explain how|show you|make (?:fun|jokes?|that)|facilitate|advocate|"
    r"endorse|produce|perform|search|browse|access|accommodate|disclose|reveal|repeat|"
    r"say (?:anything (?:racist|offensive|bad)|(?:such|those|that) (?:things|words?))|"
    r"(?:in good conscience|ethically|legally|morally) )"
)
# After an apology almost anything that can't be done refuses, but for what wasn't understood.
_NOT_HEARD = (
    r"(?: (?:understand|hear|follow|believe|catch|quite|see|get (?:it|that|what)|tell (?:if|"
    r"whether)|find|clear|be clear|help but|be more|have been|seem|make it)\b| sure\b)"
)
_MACHINE = (
    r"(?:(?:as|i am|i'm|since i am|because i'm) (?:only |just )?an? (?:[a-z-]+ ){0,3}?(?:ai\b|"
    r"artificial|language model|assistant|chatbot|llm)[^.!?]{0,120}?)"
)
_ENGLISH = (
    rf"(?:i|we) ?{_HEDGE}{_WONT} {_HEDGE}(?:[a-z]+ly )?(?:ever )?{_ASKED}",
    rf"{_SORRY}(?:i|we) ?{_HEDGE}{_WONT}(?!{_NOT_HEARD})\b",
    rf"{_SORRY}(?:that|this|it|your request|the request)[a-z ]{{0,40}}?(?:illegal|unethical|"
    r"inappropriate|against (?:my|our|the)|not (?:appropriate|ethical|legal|something (?:that )?"
    r"i))\b",
    rf"{_MACHINE}\b(?:i|we) ?{_HEDGE}(?:{_WONT}(?!{_NOT_HEARD})|(?:do not|don't) have (?:access|"
    r"permission))\b",
    rf"(?:i|we) (?:(?:must|have to|need to|will have to) )?(?:respectfully |politely )?"
    rf"(?:decline|refuse) (?:to {_ASKED}|your|this|that)",
    r"i ?(?:am|'m) (?:really |just )?(?:not|un) ?(?:very |really )?comfortable",
    r"i (?:really )?(?:don't|do not|wouldn't|would not) (?:really )?(?:feel|be) comfortable",
    r"(?:that|this|it)(?:'s| is) (?:really )?(?:not (?:really )?something|nothing) (?:that )?"
    r"(?:i|we) ?(?:can|could|am|'m|will|would|'d|want)\b",
    r"it (?:is|'s|would be|wouldn't be|isn't) (?:not )?(?:appropriate|ethical|right|unethical|"
    r"inappropriate|wrong|irresponsible|illegal) for (?:me|us|an ai)\b",
    r"(?:it|that|this)(?:'s| is| goes| would be) against (?:my|our)\b",
)
_OTHERS = (
    # German, Dutch
    r"(?:es )?tut mir (?:sehr )?leid,? (?:aber |da(?:ss|s)? )?(?:[\w ]{1,30} )?"
    r"(?:ich kann|kann ich|ich darf|darf ich|ich bin nicht)",
    r"ich kann (?:ihnen|dir|euch|ihre|deine|diese|das|dabei|darauf)[\w ,]{0,60}?nicht",
    r"als (?:ki|künstliche intelligenz|sprachmodell)[\w -]{0,40},? (?:kann|darf|bin) ich"
    r"[\w ,]{0,60}?(?:nicht|keine)",
    r"(?:het spijt me|sorry),? (?:maar )?(?:ik kan|dat kan ik)\b",
    # French, Spanish, Portuguese, Italian
    r"(?:je suis (?:vraiment )?)?désolée?,? (?:mais )?je ne (?:peux|suis)",
    r"je ne (?:peux|suis) (?:malheureusement )?pas (?:en mesure de )?(?:(?:vous|t'|te) ?)?(?:aider|"
    r"fournir|répondre|donner|créer|écrire)",
    r"en tant qu(?:e |')[^.!?]{3,60}je ne (?:peux|suis) pas",
    r"(?:lo siento|lo lamento|disculpa|perdón)[^.!?]{0,20}\bno (?:puedo|me es posible)",
    r"no puedo (?:ayudar|proporcionar|responder|crear|escribir|cumplir|ofrecer)",
    r"como (?:una? )?(?:modelo de lengua|ia\b|inteligencia)[^.!?]{0,60}\b(?:no puedo|não posso)",
    r"(?:desculpe|sinto muito|lamento|me desculpe)[^.!?]{0,20}\bnão (?:posso|consigo)",
    r"não posso (?:ajudar|fornecer|responder|criar|escrever)",
    r"mi dispiace,? (?:ma )?non (?:posso|sono in grado)",
    r"non posso (?:aiutar|fornir|risponder|crear|scriver)",
    r"(?:come|in quanto) [^.!?]{2,50}non (?:posso|sono in grado)",
    # Polish, Russian, Ukrainian, Turkish
    r"(?:przykro mi|przepraszam),? (?:ale )?nie mogę",
    r"(?:извините|простите|к сожалению|мне жаль)[^.!?]{0,20}\bя не (?:могу|в состоянии|имею)",
    r"я не могу (?:помочь|предоставить|ответить|выполнить|создать|дать)",
    r"(?:вибачте|на жаль|мені шкода)[^.!?]{0,20}\bя не можу",
    r"üzgünüm[^.!?]{0,80}(?:amam|emem|amıyorum|emiyorum)\b",
    # Chinese, Japanese, Korean, Arabic, Hindi
    r"(?:很|非常)?(?:抱歉|对不起|對不起)[^。！？]{0,20}(?:不能|无法|無法|不可以)",
    r"(?:我(?:不能|无法|無法)(?:提供|帮|幫|回答|协助|協助|满足|生成)|作为[^。！？]{1,20}(?:不能|无法))",
    r"(?:申し訳|すみません|ごめん)[^。！？]{0,60}(?:できません|できない|かねます)",
    r"죄송[^.!?]{0,60}(?:수 없|드릴 수|못)",
    r"(?:عذر|آسف|أعتذر|معذرة)[^.!؟]{0,30}لا (?:أستطيع|يمكنني|يمكن)",
    r"(?:मुझे खेद है|क्षमा करें|माफ़ करें)[^।!?]{0,60}नहीं",
)
REFUSAL = re.compile(f"{_LEAD}(?:{_SORRY})?(?:{'|'.join(_ENGLISH)})")
"""In English; to be matched at the beginning of a sentence."""
FOREIGN_REFUSAL = re.compile("|".join(_OTHERS))
"""In the other languages."""
_SAID = (
    "n't, not,cannot,cant ,unable,unwilling,refuse,decline,never,illegal,ethical,appropriate,"
    "comfortable,against,wrong,irresponsible,nothing"
)
HINTS = tuple(_SAID.split(","))
"""Every English refusal holds one of these: most answers hold none, and are told at once."""
_SAID_ELSEWHERE = (
    "nicht,keine,ik kan, pas ,no pued,non posso,non sono,não,no me es,nie mog,üzgün, не ,不能,无法,"
    "無法,不可以,ません,できない,かねます,죄송,لا ,नहीं"
)
FOREIGN_HINTS = tuple(_SAID_ELSEWHERE.split(","))
"""The same for the others."""
